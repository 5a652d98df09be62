// ddpm forward: runs the network on tensors and writes its output, to compare with other programs.
#include <fmt/core.h>

#include <algorithm>

#include "apps/cli/command.h"
#include "apps/cli/common.h"
#include "apps/cli/output.h"
#include "apps/cli/outputs.h"
#include "ddpm/base/error.h"
#include "ddpm/base/text.h"
#include "ddpm/engine/finite.h"
#include "ddpm/engine/memory_check.h"
#include "ddpm/io/safetensors.h"
#include "ddpm/nn/network.h"

namespace ddpm::cli {

namespace {

void require_finite(const Tensor& values, const std::string& what) {
  if (const auto value = find_not_finite(values)) {
    fail("forward", fmt::format("{} contains {}; all numbers must be finite", what, *value));
  }
}

// Checks the shapes and the memory before the tensors are read.
void check_inputs(const SafetensorsFile& file, ModelConfig config) {
  const SafetensorsEntry *x = file.find("x"), *t = file.find("t");
  if (x == nullptr || t == nullptr || x->shape.rank() != 4) {
    fail("forward", fmt::format("{} must hold x [N, C, H, W] and t [N]; {}", file.path(),
                                x == nullptr   ? "it has no x"
                                : t == nullptr ? "it has no t"
                                               : "its x is " + x->shape.str()));
  }
  const int64_t count = x->shape[0];
  if (t->shape != Shape{count} || count == 0) {
    fail("forward", fmt::format("t of {} has the shape {}; x has {} images, so t must be [{}]",
                                file.path(), t->shape.str(), count, std::max<int64_t>(count, 1)));
  }
  if (x->shape[1] != config.network.channels()) {
    fail("forward", fmt::format("x of {} has {} channels; the network takes {}", file.path(),
                                x->shape[1], config.network.channels()));
  }
  config.height = x->shape[2];
  config.width = x->shape[3];
  config.network.check_image(config.height, config.width);
  require_memory_for_forward(config, count);
}

}  // namespace

Action forward_command(Flags& flags) {
  struct Request {
    ModelFlags model;
    Machine machine;
    std::string in, out;
  };
  const auto request = std::make_shared<Request>();
  flags.add("in", request->in, "file with x [N, C, H, W] and t [N]", "FILE.safetensors");
  flags.require();
  flags.add("out", request->out, "file for the output out [N, C, H, W]", "FILE.safetensors");
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
    const Model model = request->model.load(flags, device);
    check_inputs(file, model.config);
    const Tensor x = file.read("x", Layout::kImage).to(device);  // [N, H, W, C]
    const Tensor t = file.read("t").to(device);                  // [N]
    require_finite(x, "x of " + request->in);
    require_finite(t, "t of " + request->in);
    OutputFile file_out(request->out);
    const Variable out = (*model.network)({.x = Variable(x), .t = t});  // [N, H, W, C]
    require_finite(out.value(), "the output");
    SafetensorsWriter writer;
    writer.add("out", out.value(), Layout::kImage);
    file_out.write(writer);
    print(fmt::format("wrote {}\n", printable(request->out)));
    return 0;
  };
}

}  // namespace ddpm::cli
