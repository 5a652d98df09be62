// The file of a classifier: a state dict, with the classes and the accuracy in its metadata.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "ddpm/base/error.h"
#include "ddpm/base/json.h"
#include "ddpm/eval/trained_classifier.h"
#include "ddpm/io/safetensors.h"

namespace ddpm {
namespace {

constexpr char kKindKey[] = "ddpm.kind", kKind[] = "classifier", kConfigKey[] = "ddpm.config";

[[noreturn]] void fail_file(const std::string& path, std::string_view what) {
  fail("classifier", fmt::format("{}: {}", path, what));
}

ClassifierFacts read_facts(const SafetensorsFile& file) {
  const auto& metadata = file.metadata();
  const auto kind = metadata.find(kKindKey), text = metadata.find(kConfigKey);
  if (kind == metadata.end() || kind->second != kKind || text == metadata.end()) {
    fail_file(file.path(), "this is not the file of a classifier");
  }
  const JsonObject config =
      JsonObject::parse(text->second, fmt::format("the configuration in {}", file.path()));
  ClassifierFacts facts;
  const auto read = [&](const char* name, auto& value) {
    const std::string* json = config.find(name);
    if (json == nullptr) fail_file(file.path(), fmt::format("its configuration lacks {}", name));
    json_value::read(*json, name, value);
  };
  read("class_names", facts.class_names);
  read("accuracy", facts.accuracy);
  read("held_out", facts.held_out);
  if (facts.class_names.size() < 2) fail_file(file.path(), "it has fewer than two classes");
  return facts;
}

Tensor read_parameter(const SafetensorsFile& file, const std::string& name, const Shape& shape) {
  const Layout layout = state_dict_layout(name, shape.rank());
  const SafetensorsEntry* entry = file.find(name);
  if (entry == nullptr) fail_file(file.path(), fmt::format("it lacks {}", name));
  if (entry->shape != to_pytorch(shape, layout)) {
    fail_file(file.path(), fmt::format("{} is {} instead of {}", name, entry->shape.str(),
                                       to_pytorch(shape, layout).str()));
  }
  Tensor value = file.read(name, layout);
  if (!std::all_of(value.f32(), value.f32() + value.elements(),
                   [](float x) { return std::isfinite(x); })) {
    fail_file(file.path(), fmt::format("{} holds a value that is not finite", name));
  }
  return value;
}

}  // namespace

void save_classifier(const Classifier& classifier, const std::string& path) {
  const auto* trained = dynamic_cast<const TrainedClassifier*>(&classifier);
  DDPM_CHECK(trained != nullptr);
  SafetensorsWriter writer;
  writer.set_metadata(kKindKey, kKind);
  writer.set_metadata(kConfigKey,
                      JsonObject({{"class_names", json_value::write(classifier.class_names())},
                                  {"accuracy", json_value::write(classifier.accuracy())},
                                  {"held_out", json_value::write(classifier.held_out())}})
                          .dump(-1));
  for (const NamedParameter& named : trained->parameters()) {
    const Tensor& value = named.parameter->variable.value();
    writer.add(named.path, value, state_dict_layout(named.path, value.shape().rank()));
  }
  writer.write(path);
}

std::unique_ptr<Classifier> load_classifier(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  ClassifierFacts facts = read_facts(file);
  auto network =
      std::make_unique<ClassifierNetwork>(static_cast<int64_t>(facts.class_names.size()));
  for (const NamedParameter& named : network->parameters()) {
    Tensor& value = named.parameter->variable.value();
    value = read_parameter(file, named.path, value.shape());
  }
  return std::make_unique<TrainedClassifier>(std::move(network), std::move(facts));
}

}  // namespace ddpm
