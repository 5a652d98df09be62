// ddpm data: shows the pictures of a source exactly as a training step would get them.
#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "apps/cli/command.h"
#include "apps/cli/common.h"
#include "apps/cli/output.h"
#include "apps/cli/outputs.h"
#include "apps/cli/progress.h"
#include "ddpm/base/error.h"
#include "ddpm/base/text.h"
#include "ddpm/data/batch_sampler.h"
#include "ddpm/data/condition.h"
#include "ddpm/data/image.h"
#include "ddpm/data/resize.h"
#include "ddpm/data/source.h"
#include "ddpm/data/source_pairs.h"

namespace ddpm::cli {

namespace {

struct Request {
  std::string source, out, each;
  std::string size = "32";
  std::string condition = "none";
  SourceOptions options;
  BatchSamplerOptions sampler;
  int64_t count = 64;
  int64_t scale = 0;
  Machine machine;
};

void warn_of_place(const std::string& out, const std::string& source) {
  if (!lies_inside(out, source)) return;
  say(
      fmt::format("warning: {} lies among the pictures, so a training would use it as one of "
                  "them; move it elsewhere\n",
                  printable(out)));
}

int run(Request& request) {
  request.machine.apply();
  check_range("data", "--n", request.count, 1, 1'000'000);
  check_range("data", "--scale", request.scale, 0, kMostScale);
  check_output_name(request.out, "--out", ".png");
  const ImageSize size = request.options.size = parse_image_size(request.size);
  check_crop(request.options.fit, request.options.crop);
  const ImageCondition condition = parse_condition(request.condition);
  check_condition(condition, size, 0);
  GridOptions grid{.scale = request.scale > 0 ? request.scale : comfortable_scale(size)};
  const auto check_grid = [&](int64_t count, int64_t channels) {
    const ImageSize shown = grid_size(count, size, grid);
    check_picture_output("--out", shown, kMostPngSide, memory_of(shown, channels));
  };
  constexpr int64_t kMostChannels = 4;
  check_grid(1, kMostChannels);
  for (const std::string& folder : {request.source, condition.folder}) {
    if (request.each.empty() || folder.empty()) continue;
    if (!same_file(request.each, folder) && !lies_inside(request.each, folder)) continue;
    fail_usage("data",
               fmt::format("--each {} lies among the pictures; choose another, so that none "
                           "is overwritten",
                           request.each));
  }
  OutputFile out(request.out);
  PictureFolder each(request.each, request.count);
  if (!request.each.empty()) each.open();
  Progress progress("picture");
  LoadedPictures source =
      load_pictures(request.source, condition, request.options,
                    [&](int64_t done, int64_t total) { progress.update(done, total); });
  progress.finish();
  if (condition.computed()) source.pictures = with_condition(source.pictures, condition);
  const Pictures& pictures = *source.pictures;
  const int64_t count = std::min(request.count, pictures.size());
  request.sampler.images = pictures.size();
  request.sampler.crop = parse_crop(request.options.crop) == Crop::kRandom;
  request.sampler.batch = count;
  const Batch batch = pictures.batch(BatchSampler(request.sampler).at(0));
  const Tensor plain = to_bytes(batch.images);  // [N, H, W, C]
  Tensor shown = plain;
  if (batch.condition.defined()) {
    shown = beside_conditions(to_bytes(batch.condition), plain);
    grid.columns = columns_of_groups(count, 2);
  }
  check_grid(shown.size(0), shown.size(3));
  out.write(encode_png(make_grid(shown, grid)));
  print(describe(source.report, pictures, std::numeric_limits<size_t>::max()));
  print(fmt::format("wrote {}, showing {}\n", printable(request.out), count));
  warn_of_place(request.out, request.source);
  if (request.each.empty()) return 0;
  for (int64_t k = 0; k < count; ++k) {
    each.write(k, plain.rows(k, k + 1).reshape({size.height, size.width, plain.size(3)}));
  }
  print(fmt::format("wrote {} picture{} into {}\n", count, plural(count), printable(request.each)));
  return 0;
}

}  // namespace

Action data_command(Flags& flags) {
  const auto request = std::make_shared<Request>();
  flags.positional("SOURCE", request->source, "where the pictures come from, see below");
  flags.add("out", request->out, "file for a grid of pictures", "FILE.png");
  flags.require();
  flags.add("each", request->each, "folder for the pictures of the grid: DIR/00000.png, ...",
            "DIR");
  flags.add("n", request->count, "the most pictures in the grid");
  flags.add("size", request->size, "pixels a side, or HEIGHTxWIDTH", "N|HxW");
  flags.add("channels", request->options.channels,
            "1 grey, 3 RGB, 4 RGBA, or auto: the fewest that hold the pictures", "1|3|4|auto");
  flags.add("background", request->options.background,
            "colour behind transparent pixels: white, black, grey or #rrggbb", "COLOUR");
  flags.add("fit", request->options.fit, "as in ddpm train", "cover|contain|pad");
  flags.add("crop", request->options.crop, "as in ddpm train", "centre|random");
  flags.add("flip", request->sampler.flip, "mirror pictures left to right at random");
  flags.add("condition", request->condition,
            "as in ddpm train: the grid shows the condition of each picture before it",
            "none|downscale:N|grey|DIR");
  flags.add(
      "classes", request->options.classes,
      "list the classes: folders inside FOLDER, groups of emoji, labels of mnist and cifar10");
  flags.add("labels", request->options.labels,
            "list the classes in a table of file names and classes", "FILE.csv");
  flags.add("stream", request->options.stream, "as in ddpm train: the same pictures",
            "auto|on|off");
  flags.add("seed", request->sampler.seed, "seed for the choice of the pictures");
  flags.add("scale", request->scale,
            "every pixel of the grid becomes N x N pixels, 0 for a convenient size");
  flags.add("threads", request->machine.threads, "processor threads, 0 for all cores");
  flags.list("SOURCE is one of", source_rows());
  return [request] { return run(*request); };
}

}  // namespace ddpm::cli
