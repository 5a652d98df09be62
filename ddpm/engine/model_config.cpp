#include "ddpm/engine/model_config.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/data/condition.h"
#include "ddpm/data/pixels.h"
#include "ddpm/data/resize.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/nn/class_embedding.h"

namespace ddpm {
namespace {

void check_learned_variance(const ModelConfig& config) {
  const int64_t images = config.network.channels(), output = config.network.output_channels();
  if (!config.process.learned_variance || output == 2 * images) return;
  fail_usage("model", fmt::format("learned-variance needs a network with {} output channels for "
                                  "images of {}, but this one has {}; leave it out, or give a "
                                  "network that was trained with it",
                                  2 * images, images, output));
}

// Throws UsageError if the condition and the network's channels for it do not fit together.
void check_condition(const ModelConfig& config) {
  const ImageCondition shown = condition_of_model(config.condition);
  const int64_t has = config.network.condition_channels();
  const bool any = shown.kind != ImageCondition::Kind::kNone;
  const int64_t needs = shown.computed() ? channels_of(shown, config.network.channels())
                        : any            ? has
                                         : 0;
  if (has == needs && (has > 0) == any) return;
  fail_usage("model", fmt::format("condition is {} with {} condition channels; {} would fit",
                                  config.condition, has, any ? std::max<int64_t>(needs, 1) : 0));
}

constexpr const char* kClassNames = "class_names";
constexpr const char* kClassCounts = "class_counts";
constexpr const char* kFit = "fit";
constexpr const char* kBackground = "background";
constexpr const char* kTunedSampler = "tuned_sampler";
constexpr const char* kTunedOrder = "tuned_order";
constexpr const char* kTunedTimes = "tuned_times";
// Of all classes together: they must fit into JSON of kMostJsonBytes, escapes included.
constexpr size_t kMostNameBytes = size_t{1} << 17;

void check_class_names(const std::vector<std::string>& names, int64_t classes) {
  if (names.empty()) return;
  if (static_cast<int64_t>(names.size()) != classes) {
    fail_usage("model", fmt::format("there are {} names of {} classes", names.size(), classes));
  }
  std::set<std::string> seen;
  size_t bytes = 0;
  for (const std::string& name : names) {
    if (name.empty() || name.find('\0') != std::string::npos)
      fail_usage("model", "a class has a name that is empty or holds a NUL byte");
    bytes += name.size();
    if (bytes > kMostNameBytes) {
      fail_usage("model", fmt::format("the names of {} classes have more than {} bytes; shorter "
                                      "ones are needed",
                                      names.size(), kMostNameBytes));
    }
    if (!seen.insert(name).second)
      fail_usage("model", fmt::format("two classes are called '{}'", name));
  }
}

void check_class_counts(const std::vector<int64_t>& counts, int64_t classes) {
  if (counts.empty()) return;
  if (static_cast<int64_t>(counts.size()) != classes) {
    fail_usage("model", fmt::format("there are {} counts of {} classes", counts.size(), classes));
  }
  const int64_t least = *std::min_element(counts.begin(), counts.end());
  if (least < 0) fail_usage("model", fmt::format("a class has {} pictures", least));
}

void check_tuned(const TunedLevels& tuned, const ProcessConfig& config) {
  if (tuned.times.empty()) return;
  SamplerOptions{.sampler = tuned.sampler, .order = tuned.order}.check();
  const Process process(config);
  const double first = process.noisiest().t, last = process.cleanest().t;
  double before = std::numeric_limits<double>::infinity();
  for (const double t : tuned.times) {
    if (!(t < before && t <= first && t >= last)) {
      fail_usage("model", fmt::format("a tuned level is {}; the levels must fall, from at most {} "
                                      "to at least {}",
                                      t, first, last));
    }
    before = t;
  }
}

}  // namespace

std::string ModelConfig::class_name(int64_t label) const {
  if (label < 0) return "none";
  const auto index = static_cast<size_t>(label);
  return index < class_names.size() ? class_names[index] : fmt::format("#{}", label);
}

std::vector<int64_t> ModelConfig::labels_of_classes(const std::vector<std::string>& names) const {
  std::map<std::string, int64_t> known;
  for (int64_t label = 0; label < network.classes(); ++label)
    known.emplace(class_name(label), label);
  std::vector<int64_t> labels;
  for (const std::string& name : names) {
    const auto found = known.find(name);
    labels.push_back(found == known.end() ? -1 : found->second);
  }
  return labels;
}

void ModelConfig::fields(Fields& field) {
  constexpr double kMostChannels = 1 << 20;
  network.fields(field);
  field.group("The pictures");
  field("channels", network.channels(), "channels of the images").range(1, kMostChannels);
  field("output_dim", network.output_dim(), "channels of the output, 0 for the same as the images")
      .range(0, kMostChannels);
  field("condition_channels", network.condition_channels(),
        "channels of the image that is the condition, 0 for none")
      .range(0, kMostChannels);
  field("condition", condition, "what the condition shows: none, downscale:N, grey or pairs");
  field("classes", network.classes(), "classes that the network is told, 0 for none")
      .range(0, kMostClasses);
  field("augment_channels", network.augment_channels(),
        "numbers that tell the network how an image was augmented, 0 for none")
      .range(0, kMostChannels);
  field("height", height, "height of the images in pixels, 0 for unknown").range(0, kLargestSide);
  field("width", width, "width of the images in pixels, 0 for unknown").range(0, kLargestSide);
  process.fields(field);
}

void ModelConfig::check() const {
  network.check();
  check_options("model", *this);
  process.check();
  check_learned_variance(*this);
  check_condition(*this);
  parse_fit(fit);
  parse_colour(background);
  check_class_names(class_names, network.classes());
  check_class_counts(class_counts, network.classes());
  check_tuned(tuned, process);
  if (height > 0 && width > 0) network.check_image(height, width);
}

std::string to_json(const ModelConfig& config, int indent) {
  JsonObject object;
  write_options(config, object);
  // Files of earlier versions do not say it.
  if (config.fit != ModelConfig().fit) object.set(kFit, json_value::write(config.fit));
  if (config.background != ModelConfig().background)
    object.set(kBackground, json_value::write(config.background));
  if (!config.class_names.empty()) object.set(kClassNames, json_value::write(config.class_names));
  if (!config.class_counts.empty())
    object.set(kClassCounts, json_value::write(config.class_counts));
  if (!config.tuned.times.empty()) {
    object.set(kTunedSampler, json_value::write(config.tuned.sampler));
    object.set(kTunedOrder, json_value::write(config.tuned.order));
    object.set(kTunedTimes, json_value::write(config.tuned.times));
  }
  return object.dump(indent);
}

ModelConfig model_config_from_json(std::string_view json, std::string_view what,
                                   ModelConfig start) {
  const JsonObject object = JsonObject::parse(json, what);
  ModelConfig config = std::move(start);
  try {
    read_options(object, config);
    if (const std::string* names = object.find(kClassNames))
      json_value::read(*names, kClassNames, config.class_names);
    if (const std::string* counts = object.find(kClassCounts))
      json_value::read(*counts, kClassCounts, config.class_counts);
    if (const std::string* fit = object.find(kFit)) {
      json_value::read(*fit, kFit, config.fit);
      parse_fit(config.fit);
    }
    if (const std::string* background = object.find(kBackground)) {
      json_value::read(*background, kBackground, config.background);
      parse_colour(config.background);
    }
    if (const std::string* sampler = object.find(kTunedSampler))
      json_value::read(*sampler, kTunedSampler, config.tuned.sampler);
    if (const std::string* order = object.find(kTunedOrder))
      json_value::read(*order, kTunedOrder, config.tuned.order);
    if (const std::string* times = object.find(kTunedTimes))
      json_value::read(*times, kTunedTimes, config.tuned.times);
  } catch (const Error& error) {
    // Also a UsageError becomes an Error: the file is wrong, not the request.
    fail("model", fmt::format("{}: {}", what, without_place(error.what())));
  }
  return config;
}

}  // namespace ddpm
