// ddpm forward: the network as a function from tensors to tensors, to compare with other programs.
#include <fmt/core.h>

#include "apps/cli/command.h"
#include "apps/cli/common.h"
#include "apps/cli/output.h"
#include "apps/cli/outputs.h"
#include "ddpm/base/error.h"
#include "ddpm/base/text.h"
#include "ddpm/io/safetensors.h"

namespace ddpm::cli {

Action forward_command(Flags& flags) {
  struct Request {
    ModelFlags model;
    Machine machine;
    std::string in, out;
  };
  const auto request = std::make_shared<Request>();
  flags.add("in", request->in, "holds x [N, C, H, W] and t [N]", "FILE.safetensors");
  flags.require();
  flags.add("out", request->out, "gets out [N, C, H, W]", "FILE.safetensors");
  flags.require();
  request->machine.declare(flags);
  request->model.declare(flags);

  return [request, &flags] {
    const Device device = request->machine.apply();
    check_output_name(request->out, "--out", ".safetensors");
    if (same_file(request->in, request->out)) {
      fail_usage("forward", fmt::format("--in and --out are both {}; choose another file for --out",
                                        request->out));
    }
    if (same_file(find_model_file(request->model.path), request->out)) {
      fail_usage("forward",
                 fmt::format("--out {} is the model; choose another file", request->out));
    }
    const SafetensorsFile file = SafetensorsFile::open(request->in);
    const Tensor x = file.read("x", Layout::kImage).on(device);  // [N, H, W, C]
    const Tensor t = file.read("t").on(device);                  // [N]
    if (t.shape() != Shape{x.size(0)}) {
      fail("forward", fmt::format("t of {} has the shape {}; x holds {} images, so [{}] is needed",
                                  request->in, t.shape().str(), x.size(0), x.size(0)));
    }
    const Model model = request->model.load(flags, device);
    if (x.size(3) != model.config.network.channels) {
      fail("forward", fmt::format("x of {} has {} channels; the network takes {}", request->in,
                                  x.size(3), model.config.network.channels));
    }
    OutputFile file_out(request->out);
    const Variable out = (*model.network)(Variable(x), t);  // [N, H, W, C]
    SafetensorsWriter writer;
    writer.add("out", out.value(), Layout::kImage);
    file_out.write(writer);
    print(fmt::format("wrote {}\n", printable(request->out)));
    return 0;
  };
}

}  // namespace ddpm::cli
