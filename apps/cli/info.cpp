// ddpm info: what a model file holds and what running and training it cost.
#include <fmt/core.h>

#include "apps/cli/command.h"
#include "apps/cli/common.h"
#include "apps/cli/output.h"
#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/base/text.h"
#include "ddpm/data/pixels.h"
#include "ddpm/engine/cost.h"

namespace ddpm::cli {
namespace {

// The images' size: asked for, trained on, or else one that the network can take.
ImageSize image_size(const std::string& asked, const ModelConfig& config) {
  if (!asked.empty()) return parse_image_size(asked);
  if (config.height > 0 && config.width > 0) return {config.height, config.width};
  const int64_t divisor = config.network.side_divisor();
  const int64_t side = (32 + divisor - 1) / divisor * divisor;
  return {side, side};
}

void print_text(const Model& model, const ModelConfig& config, const Cost& cost, int64_t batch) {
  print(fmt::format("{}\n", printable(model.path)));
  if (model.trained_steps >= 0)
    print(fmt::format("  {:<28}{}\n", "trained steps", model.trained_steps));
  JsonObject options;
  write_options(model.config, options);
  for (const auto& [name, value] : options.members())
    print(fmt::format("  {:<28}{}\n", name, value));
  print(fmt::format("  {:<28}{} ({})\n", "parameters",
                    short_number(static_cast<double>(cost.parameters)), cost.parameters));
  print(fmt::format("  for pictures of {}x{}:\n", config.height, config.width));
  print(fmt::format("  {:<28}{} per picture\n", "forward pass",
                    short_number(cost.forward_flops, "FLOP")));
  const auto memory = [&](const char* what, int64_t bytes) {
    print(fmt::format("  {:<28}{} at batch {}\n", what,
                      short_number(static_cast<double>(bytes), "B"), batch));
  };
  memory("memory for sampling", cost.sampling_bytes);
  memory("memory for training", cost.training_bytes);
  memory("  with --checkpointing", cost.checkpointed_bytes);
}

void print_json(const Model& model, const ModelConfig& config, const Cost& cost, int64_t batch) {
  JsonObject object;
  object.set("path", json_value::write(model.path));
  object.set("config", to_json(model.config));
  object.set("trained_steps",
             model.trained_steps >= 0 ? json_value::write(model.trained_steps) : "null");
  object.set("parameters", json_value::write(cost.parameters));
  object.set("height", json_value::write(config.height));
  object.set("width", json_value::write(config.width));
  object.set("batch", json_value::write(batch));
  object.set("forward_flops", json_value::write(cost.forward_flops));
  object.set("sampling_bytes", json_value::write(cost.sampling_bytes));
  object.set("training_bytes", json_value::write(cost.training_bytes));
  object.set("checkpointed_bytes", json_value::write(cost.checkpointed_bytes));
  print(printable_json(object.dump()) + "\n");
}

}  // namespace

Action info_command(Flags& flags) {
  struct Request {
    ModelFlags model;
    std::string size;
    int64_t batch = 32;
    bool json = false;
  };
  const auto request = std::make_shared<Request>();
  flags.add("batch", request->batch, "pictures per training step, for the memory it takes");
  flags.add("size", request->size, "of the pictures, if not the size trained on", "N|HxW");
  flags.add("json", request->json,
            "as one JSON object; forward_flops are those of one picture, memory is in bytes");
  request->model.declare(flags);

  return [request, &flags] {
    if (request->batch < 1) {
      fail_usage("info", fmt::format("--batch is {}; at least 1 is needed", request->batch));
    }
    const Model model = request->model.load(flags, Device::kCpu);
    ModelConfig config = model.config;
    const ImageSize size = image_size(request->size, config);
    config.height = size.height;
    config.width = size.width;
    const Cost cost = estimate_cost(config, request->batch);
    (request->json ? print_json : print_text)(model, config, cost, request->batch);
    return 0;
  };
}

}  // namespace ddpm::cli
