// ddpm forward: runs the network on tensors and writes its output, to compare with other programs.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>

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

// What a network may take besides x, t and a condition: an image [N, C, H, W], or one number per
// image [N].
struct OptionalEntry {
  const char* name;
  bool image;
  bool OptionalInputs::*taken;
};
constexpr OptionalEntry kOptionalEntries[] = {
    {"class_labels", false, &OptionalInputs::labels},
    {"x_self_cond", true, &OptionalInputs::estimate},
};

// A misspelt name would otherwise give the output of another input without a word.
void warn_of_ignored(const SafetensorsFile& file) {
  constexpr size_t kNamed = 5;
  std::vector<std::string> ignored;
  for (const SafetensorsEntry& entry : file.entries()) {
    const bool known = entry.name == "x" || entry.name == "t" || entry.name == "condition" ||
                       std::any_of(std::begin(kOptionalEntries), std::end(kOptionalEntries),
                                   [&](const auto& one) { return entry.name == one.name; });
    if (!known) ignored.push_back(printable(entry.name));
  }
  if (ignored.empty()) return;
  const size_t shown = std::min(kNamed, ignored.size());
  say(fmt::format("ignored in {}: {}{}\n", printable(file.path()),
                  fmt::join(ignored.begin(), ignored.begin() + shown, ", "),
                  ignored.size() > shown ? ", ..." : ""));
}

// Classes are numbers from 0, and -1 is none.
void check_labels(const Tensor& labels, int64_t classes, const std::string& path) {
  if (!labels.defined()) return;
  for (const float label : labels.values()) {
    if (label == std::floor(label) && label >= -1 && label < static_cast<float>(classes)) continue;
    fail("forward", fmt::format("class_labels of {} holds {}; the classes are 0 to {}, and -1 is "
                                "no class",
                                path, label, classes - 1));
  }
}

void check_optional(const SafetensorsFile& file, const OptionalInputs& taken, const Shape& x) {
  for (const OptionalEntry& optional : kOptionalEntries) {
    const SafetensorsEntry* entry = file.find(optional.name);
    if (entry == nullptr) continue;
    if (!(taken.*optional.taken)) {
      fail("forward",
           fmt::format("{} holds {}, which the network does not take", file.path(), optional.name));
    }
    const Shape& shape = entry->shape;
    const Shape wanted = optional.image ? x : Shape{x[0]};
    if (shape == wanted) continue;
    fail("forward", fmt::format("{} of {} has the shape {}; x is {}, so {} is needed",
                                optional.name, file.path(), shape.str(), x.str(), wanted.str()));
  }
}

// A network that takes a condition needs one, and no other does.
void check_condition(const SafetensorsFile& file, const ModelConfig& config, int64_t count) {
  const SafetensorsEntry* condition = file.find("condition");
  const int64_t channels = config.network.condition_channels();
  if (channels == 0) {
    if (condition == nullptr) return;
    fail("forward", fmt::format("{} holds a condition; the network takes none", file.path()));
  }
  const Shape wanted{count, channels, config.height, config.width};
  if (condition != nullptr && condition->shape == wanted) return;
  fail("forward", fmt::format("condition of {} must be {}; {}", file.path(), wanted.str(),
                              condition ? "it is " + condition->shape.str() : "there is none"));
}

// Checks the shapes and the memory before the tensors are read.
void check_inputs(const SafetensorsFile& file, ModelConfig config, const OptionalInputs& taken) {
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
  check_optional(file, taken, x->shape);
  warn_of_ignored(file);
  config.height = x->shape[2];
  config.width = x->shape[3];
  config.network.check_image(config.height, config.width);
  check_condition(file, config, count);
  require_memory_for_forward(config, count);
}

// An entry of the file, on the device. Empty if there is none.
Tensor read_entry(const SafetensorsFile& file, const char* name, Layout layout, Device device) {
  if (file.find(name) == nullptr) return {};
  const Tensor read = file.read(name, layout);
  require_finite(read, fmt::format("{} of {}", name, file.path()));
  return read.to(device);
}

NetworkInput read_inputs(const SafetensorsFile& file, const OptionalInputs& taken, Device device) {
  NetworkInput input{.x = Variable(read_entry(file, "x", Layout::kImage, device)),
                     .t = read_entry(file, "t", Layout::kAsIs, device),
                     .labels = read_entry(file, "class_labels", Layout::kAsIs, device),
                     .condition = Variable(read_entry(file, "condition", Layout::kImage, device)),
                     .estimate = Variable(read_entry(file, "x_self_cond", Layout::kImage, device))};
  if (taken.labels && !input.labels.defined())
    input.labels = Tensor::full(input.t.shape(), -1, device);
  return input;
}

}  // namespace

Action forward_command(Flags& flags) {
  struct Request {
    ModelFlags model;
    Machine machine;
    std::string in, out;
  };
  const auto request = std::make_shared<Request>();
  flags.add("in", request->in,
            "file with x [N, C, H, W] and t [N]; if the network takes them, also class_labels [N], "
            "x_self_cond and condition [N, C, H, W]",
            "FILE.safetensors");
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
    if (same_file(request->model.file(), request->out)) {
      fail_usage("forward",
                 fmt::format("--out {} is the model; choose another file", request->out));
    }
    const SafetensorsFile file = SafetensorsFile::open(request->in);
    const Model model = request->model.load(flags, device);
    check_inputs(file, model.config, model.network->takes());
    const NetworkInput input = read_inputs(file, model.network->takes(), device);
    check_labels(input.labels, model.config.network.classes(), file.path());
    OutputFile file_out(request->out);
    const Variable out = (*model.network)(input);  // [N, H, W, C]
    require_finite(out.value(), "the output");
    SafetensorsWriter writer;
    writer.add("out", out.value(), Layout::kImage);
    file_out.write(writer);
    print(fmt::format("wrote {}\n", printable(request->out)));
    return 0;
  };
}

}  // namespace ddpm::cli
