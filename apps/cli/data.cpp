// ddpm data: shows the pictures of a source exactly as a training step would get them.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "apps/cli/command.h"
#include "apps/cli/common.h"
#include "apps/cli/output.h"
#include "apps/cli/outputs.h"
#include "apps/cli/progress.h"
#include "ddpm/base/error.h"
#include "ddpm/base/text.h"
#include "ddpm/data/batch_sampler.h"
#include "ddpm/data/image.h"
#include "ddpm/data/source.h"

namespace ddpm::cli {

namespace {

// Whether the grid would lie in the source's folder. It would then count as one of its pictures.
bool lies_inside(const std::string& out, const std::string& source) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path pictures = fs::canonical(source, error);
  if (error || !fs::is_directory(pictures, error)) return false;
  const fs::path folder = fs::weakly_canonical(fs::absolute(out), error).parent_path();
  return !error &&
         std::mismatch(pictures.begin(), pictures.end(), folder.begin(), folder.end()).first ==
             pictures.end();
}

}  // namespace

Action data_command(Flags& flags) {
  struct Request {
    std::string source, out;
    std::string size = "32";
    SourceOptions options;
    SamplerOptions sampler;
    int64_t count = 64;
    int64_t scale = 0;
    Machine machine;
  };
  const auto request = std::make_shared<Request>();
  flags.positional("SOURCE", request->source, "where the pictures come from, see below");
  flags.add("out", request->out, "file for a grid of pictures", "FILE.png");
  flags.require();
  flags.add("n", request->count, "the most pictures in the grid");
  flags.add("size", request->size, "pixels a side, or HEIGHTxWIDTH", "N|HxW");
  flags.add("channels", request->options.channels,
            "1 grey, 3 RGB, 4 RGBA, or auto: the fewest that hold the pictures", "1|3|4|auto");
  flags.add("background", request->options.background,
            "colour behind transparent pixels: a name or #rrggbb", "COLOUR");
  flags.add("flip", request->sampler.flip, "mirror pictures left to right at random");
  flags.add("seed", request->sampler.seed, "seed for the choice of the pictures");
  flags.add("scale", request->scale,
            "every pixel of the grid becomes N x N pixels, 0 for a convenient size");
  flags.add("threads", request->machine.threads, "processor threads, 0 for all cores");
  flags.list("SOURCE is one of", source_rows());

  return [request] {
    request->machine.apply();
    check_range("data", "--n", request->count, 1, 1'000'000);
    check_range("data", "--scale", request->scale, 0, kMostScale);
    check_output_name(request->out, "--out", ".png");
    const ImageSize size = request->options.size = parse_image_size(request->size);
    const GridOptions grid{.scale = request->scale > 0 ? request->scale : comfortable_scale(size)};
    constexpr int64_t kMostChannels = 4;
    const auto check_grid = [&](int64_t count, int64_t channels) {
      const ImageSize shown = grid_size(count, size, grid);
      check_picture_output("--out", shown, kMostPngSide, memory_of(shown, channels));
    };
    check_grid(1, kMostChannels);
    OutputFile out(request->out);
    Progress progress("picture");
    const LoadedSource source =
        load_source(request->source, request->options,
                    [&](int64_t done, int64_t total) { progress.update(done, total); });
    progress.finish();
    const Dataset& pictures = source.dataset;
    const int64_t count = std::min(request->count, pictures.size());
    request->sampler.images = pictures.size();
    request->sampler.batch = count;
    const Tensor shown = to_bytes(pictures.batch(BatchSampler(request->sampler).at(0)).images);
    check_grid(count, pictures.channels());
    out.write(encode_png(make_grid(shown, grid)));
    print(describe(source.report, pictures, source.report.skipped.size()));
    print(fmt::format("wrote {}, showing {}\n", printable(request->out), count));
    if (lies_inside(request->out, request->source)) {
      say(fmt::format(
          "warning: {} lies among the pictures, so a training would use it as one of them; move it "
          "elsewhere\n",
          printable(request->out)));
    }
    return 0;
  };
}

}  // namespace ddpm::cli
