// ddpm tune: finds the levels of noise at which few evaluations of a model come closest to many,
// and writes the model with them.
#include <fmt/core.h>

#include <memory>

#include "apps/cli/command.h"
#include "apps/cli/common.h"
#include "apps/cli/drawing.h"
#include "apps/cli/job.h"
#include "apps/cli/output.h"
#include "apps/cli/outputs.h"
#include "apps/cli/progress.h"
#include "ddpm/base/error.h"
#include "ddpm/base/text.h"
#include "ddpm/engine/tuner.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/network.h"

namespace ddpm::cli {
namespace {

struct Request {
  ModelFlags model;
  Machine machine;
  GenerateOptions draw;
  std::string out;
};

int run(Request& request, const Flags& flags) {
  const Device device = request.machine.apply_to_rank();
  if (job().rank() > 0) return serve_drawing_command(device);
  const std::unique_ptr<DrawingRanks> ranks = drawing_ranks();
  check_output_name(request.out, "--out", ".safetensors");
  check_sampling_flags("tune", flags, request.draw.sampling);
  request.draw.check();
  const Model model = request.model.load(flags, device);
  if (same_file(request.out, model.path)) {
    fail_usage("tune", fmt::format("--out {} is the model itself; choose another name, so that it "
                                   "is kept",
                                   request.out));
  }
  if (model.config.condition != "none") {
    fail_usage("tune",
               fmt::format("the model draws from pictures (condition {}), and tune has none "
                           "to give it; choose a spacing of ddpm sample by hand",
                           model.config.condition));
  }
  // Fails here, and not after the search, if the file cannot be written.
  { const OutputFile writable(request.out); }
  draw_together(ranks.get(), model, nullptr, request.draw);
  Progress progress("trial");
  const TuneResult result = tune(
      *model.network, model.config, request.draw, [&](int64_t trial, int64_t most, double best) {
        progress.update(trial, most, fmt::format("distance {:.4f}", best));
        return true;
      });
  progress.finish();
  ModelConfig config = model.config;
  config.tuned = result.levels;
  save_output(request.out, [&] {
    save_model(request.out, config, *model.network, parameter_tensors(*model.network),
               model.trained_steps);
  });
  print(fmt::format(
      "{} levels for {}; distance from a fine trajectory on other pictures: {:.4f}, "
      "with the spacing {} {:.4f}\nwrote {}\nTo make pictures with it:\n"
      "  ddpm sample {} --out grid.png\n",
      result.levels.times.size(), result.levels.sampler, result.after, result.best_spacing,
      result.before, printable(request.out), shell_word(request.out)));
  return 0;
}

}  // namespace

Action tune_command(Flags& flags) {
  const auto request = std::make_shared<Request>();
  request->draw.count = 16;
  request->draw.sampling.steps = 8;
  flags.add("out", request->out, "file for the model with its tuned levels", "FILE.safetensors");
  flags.require();
  flags.add("n", request->draw.count,
            "pictures that the levels are judged by; more take longer and are less of a chance");
  flags.add_fields(request->draw, [](const Field& field) {
    return field.name() != "spacing" && field.name() != "n";
  });
  request->machine.declare(flags);
  request->model.declare(flags);
  list_drawing_ranks(flags, "tune");
  return [request, &flags] { return run(*request, flags); };
}

}  // namespace ddpm::cli
