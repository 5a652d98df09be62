#include "ddpm/engine/run/directory.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <regex>
#include <set>
#include <sstream>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/hash.h"
#include "ddpm/base/options.h"
#include "ddpm/base/text.h"
#include "ddpm/base/version.h"
#include "ddpm/data/condition.h"
#include "ddpm/data/pixels.h"
#include "ddpm/engine/power_averages.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;

// The start of the id of a run that version 0.1.0 began.
constexpr std::string_view kAdopted = "0.1.0-";
constexpr uint64_t kMostIndexBytes = uint64_t{1} << 30;

JsonObject options_json(const TrainOptions& options) {
  JsonObject object;
  write_options(options, object);
  return object;
}

// The value as far as it affects what is learnt: a folder of conditions may be moved.
std::string deciding_json(const Field& field) {
  if (field.name() != "condition") return field.json();
  return json_value::write(parse_condition(*std::get<std::string*>(field.value())).name());
}

// The first option that affects what is learnt and that differs.
struct Difference {
  // `before` and `now` are JSON texts.
  std::string name, before, now;
};
std::optional<Difference> difference(const TrainOptions& before, const TrainOptions& now) {
  const Fields known = fields_of(before);
  for (const Field& field : fields_of(now)) {
    const Field* other = known.find(field.name());
    if (other == nullptr || field.changeable() || deciding_json(field) == deciding_json(*other))
      continue;
    return Difference{field.name(), other->json(), field.json()};
  }
  return std::nullopt;
}

std::vector<std::string> split(const std::string& text) {
  std::istringstream words(text);
  std::vector<std::string> all;
  for (std::string word; words >> word;) all.push_back(word);
  return all;
}

std::string text_of(const JsonObject& object, const char* name) {
  std::string text;
  if (const std::string* json = object.find(name)) json_value::read(*json, name, text);
  return text;
}

// Without this check, a misspelt key would silently leave its option at the default. `options` are
// those read from the object: its family of networks decides which options exist.
void refuse_unknown_keys(const JsonObject& object, const TrainOptions& options) {
  const Fields known = fields_of(options);
  for (const auto& [name, value] : object.members()) {
    if (!tells_of_run(name) && known.find(name) == nullptr)
      fail("train", fmt::format("it sets {}, which is not an option", json_value::write(name)));
  }
}

// Reads what was determined from the pictures when the run was started: the number of channels, if
// the option is "auto", and the classes. They are kept in "model".
void read_from_pictures(const JsonObject& object, const std::string& path, RunConfig& config) {
  const std::string* model = object.find("model");
  DataOptions& data = config.options.data;
  if (model == nullptr || (data.channels != "auto" && !data.wants_classes())) return;
  const ModelConfig told = model_config_from_json(*model, fmt::format("\"model\" in {}", path));
  if (data.channels == "auto") data.channels = std::to_string(told.network.channels());
  config.class_names = told.class_names;
}

// The configuration in the newest sound checkpoint. Without config.json it is unknown which run is
// meant, so all sound checkpoints must belong to the same run.
RunConfig config_from_checkpoint(const std::string& run, const Warn& warn) {
  RunConfig config;
  const std::vector<StepFile> all = list_checkpoints(run);
  if (all.empty()) fail_no_run(run);
  for (const StepFile& entry : all) {
    CheckpointMarks marks;
    std::vector<std::string> class_names;
    try {
      const Checkpoint checkpoint = Checkpoint::open(entry.path);
      marks = checkpoint.marks();
      class_names = checkpoint.config().class_names;
    } catch (const SystemError&) {
      throw;
    } catch (const Error&) {
      // Skipped here. load_newest_checkpoint() warns about it.
      continue;
    }
    if (marks.options.empty()) continue;
    if (!config.id.empty() && config.id != marks.run) {
      fail("train",
           fmt::format("{} has lost its config.json and holds checkpoints of several runs; "
                       "put config.json back, or move those of the other run away",
                       run));
    }
    config = {
        .options = {}, .id = marks.run, .data_hashes = {marks.data}, .class_names = class_names};
    read_options(JsonObject::parse(marks.options, entry.path), config.options);
  }
  if (config.id.empty()) {
    fail("train", fmt::format("{} has lost its config.json, and no undamaged checkpoint has the "
                              "run's options; put config.json back to resume it. You can still "
                              "sample from it: ddpm sample {} --out grid.png",
                              run, run));
  }
  warn(fmt::format("{} is missing; using the options of the newest checkpoint",
                   in_run(run, "config.json")));
  return config;
}

// Whether the newest sound checkpoint of this run was trained on these pictures. If so, the hash in
// config.json is damaged.
bool newest_was_trained_on(const std::string& data_hash, const std::string& run,
                           const RunConfig& config) {
  const std::vector<StepFile> all = list_checkpoints(run);
  for (auto entry = all.rbegin(); entry != all.rend(); ++entry) {
    try {
      const Checkpoint checkpoint = Checkpoint::open(entry->path);
      if (checkpoint.marks().run == config.id && !config.id.empty())
        return checkpoint.marks().data == data_hash;
    } catch (const SystemError&) {
      throw;
    } catch (const Error&) {
      // Skipped here. load_newest_checkpoint() warns about it.
      continue;
    }
  }
  return false;
}

// True if the name is NAME.PID.tmp, where NAME is a file of a run and no process PID exists.
bool is_abandoned_by_version_0_1_0(const std::string& file) {
  static const std::regex pattern(
      "(config\\.json|metrics\\.jsonl|loss\\.png|model\\.safetensors|step-\\d+\\.(safetensors|png))"
      "\\.(\\d{1,9})\\.tmp");
  std::smatch parts;
  if (!std::regex_match(file, parts, pattern)) return false;
  return kill(std::stoi(parts[3]), 0) != 0 && errno == ESRCH;
}

// Reads one of the run's own files.
std::string read_own(const std::string& path, uint64_t limit) {
  std::error_code error;
  if (const auto status = fs::status(path, error);
      fs::exists(status) && !fs::is_regular_file(status))
    fail("train", fmt::format("{} is not a regular file", path));
  return read_file(path, limit);
}

}  // namespace

std::string in_run(const std::string& run, const std::string& name) {
  return (fs::path(run) / name).string();
}

bool holds_run(const std::string& run) {
  return exists(in_run(run, "config.json")) || !list_checkpoints(run).empty();
}

TrainOptions read_run_options(const std::string& run) {
  return read_run_config(run, [](const std::string&) {}).options;
}

void refuse_lone_model(const std::string& run) {
  if (!exists(in_run(run, "model.safetensors"))) return;
  fail_usage("train",
             fmt::format("{} holds a model.safetensors but neither config.json nor "
                         "checkpoints, so its training cannot go on; 'ddpm sample' can use "
                         "it. Choose another directory to train in",
                         run));
}

void fail_no_run(const std::string& run) {
  refuse_lone_model(run);
  fail("train",
       fmt::format("there is no run to resume in {}; is it the right place? To start a run "
                   "there, leave --resume out",
                   fs::absolute(run).string()));
}

RunConfig start_config(const TrainOptions& options, const ModelConfig& model,
                       const DataFingerprint& data) {
  JsonObject identity;
  for (const Field& field : fields_of(options))
    if (!field.changeable()) identity.set(field.name(), deciding_json(field));
  identity.set("model", to_json(model));
  identity.set("data_hash", json_value::write(data.hash()));
  return {.options = options,
          .id = hash_hex(identity.dump(-1)),
          .data_hashes = {data.hash()},
          .class_names = model.class_names};
}

RunConfig read_run_config(const std::string& run, const Warn& warn) {
  const std::string path = in_run(run, "config.json");
  if (!exists(path)) return config_from_checkpoint(run, warn);
  RunConfig config;
  try {
    const JsonObject object = JsonObject::parse(read_own(path, kMostJsonBytes), path);
    read_options(object, config.options);
    refuse_unknown_keys(object, config.options);
    read_from_pictures(object, path, config);
    config.id = text_of(object, "run");
    config.data_hashes = split(text_of(object, "data_hashes"));
  } catch (const SystemError&) {
    throw;
  } catch (const Error& error) {
    fail("train", fmt::format("{} is damaged: {}. Repair it, or move it away to use the options of "
                              "the newest checkpoint",
                              path, error.what()));
  }
  return config;
}

void write_run_config(const std::string& run, const RunConfig& config, const ModelConfig& model) {
  JsonObject object;
  object.set("version", json_value::write(std::string(version())));
  write_options(config.options, object);
  object.set("model", to_json(model));
  object.set("run", json_value::write(config.id));
  object.set("data_hashes",
             json_value::write(fmt::format("{}", fmt::join(config.data_hashes, " "))));
  write_file_atomic(in_run(run, "config.json"), object.dump(2) + "\n");
}

namespace {

// The first option that a run may not change. Values of micro_batch from kChunk differ in no bit.
std::optional<Difference> forbidden_change(TrainOptions before, const TrainOptions& now) {
  int64_t& part = before.optimizer.micro_batch;
  if (std::min(part, now.optimizer.micro_batch) >= OptimizerOptions::kChunk)
    part = now.optimizer.micro_batch;
  return difference(before, now);
}

}  // namespace

void adopt_started_options(const TrainOptions& started_with, TrainOptions& options) {
  if (options.data.channels == "auto") options.data.channels = started_with.data.channels;
  if (parse_image_size(options.data.size) == parse_image_size(started_with.data.size))
    options.data.size = started_with.data.size;
  if (parse_condition(options.data.condition).name() ==
          parse_condition(started_with.data.condition).name() &&
      parse_condition(options.data.condition).computed())
    options.data.condition = started_with.data.condition;
  const auto changed = forbidden_change(started_with, options);
  if (!changed) return;
  fail_usage("train", fmt::format("the run was started with {} = {} and cannot be resumed with {}; "
                                  "leave the option out, or start a new run in another directory",
                                  changed->name, changed->before, changed->now));
}

void adopt_old_run(RunConfig& config, const ModelConfig& model, const DataFingerprint& data) {
  config.id = fmt::format("{}{}", kAdopted, start_config(config.options, model, data).id);
}

CheckpointMarks marks_of(const RunConfig& config) {
  return {.run = config.id,
          .data = config.data_hashes.empty() ? "" : config.data_hashes.back(),
          .options = options_json(config.options).dump(-1)};
}

std::string why_foreign(const CheckpointMarks& marks, const RunConfig& config) {
  // Version 0.1.0 wrote no marks.
  if (marks.run.empty())
    return config.id.starts_with(kAdopted) ? "" : "it does not say which run it belongs to";
  if (marks.run != config.id) return "it belongs to another run";
  if (std::find(config.data_hashes.begin(), config.data_hashes.end(), marks.data) ==
      config.data_hashes.end())
    return "it was trained on other pictures";
  // Options that the checkpoint does not contain keep the value of config.json.
  TrainOptions saved_with = config.options;
  read_options(JsonObject::parse(marks.options, "ddpm.options"), saved_with);
  const auto edited = forbidden_change(saved_with, config.options);
  if (!edited) return "";
  fail_usage("train",
             fmt::format("config.json was edited: it says {} = {}, but the run was started "
                         "with {}; put that back, or start a new run in another directory",
                         edited->name, edited->now, edited->before));
}

DataFingerprint read_data_index(const std::string& run, const RunConfig& config) {
  const std::string path = in_run(run, "data.jsonl");
  if (!exists(path)) return {};
  const std::string text = read_own(path, kMostIndexBytes);
  try {
    DataFingerprint index = fingerprint_from_text(text, path);
    if (!config.data_hashes.empty() && index.hash() == config.data_hashes.back()) return index;
  } catch (const Error&) {
  }
  // The hash in config.json decides. The index only shows what changed.
  return {};
}

void write_data_index(const std::string& run, const DataFingerprint& data) {
  write_file_atomic(in_run(run, "data.jsonl"), to_text(data));
}

PictureIndex read_picture_index(const std::string& run) {
  const std::string path = in_run(run, "index.jsonl");
  if (!exists(path)) return {};
  const std::string text = read_own(path, kMostIndexBytes);
  try {
    return index_from_text(text, path);
  } catch (const Error&) {
    return {};
  }
}

void write_picture_index(const std::string& run, const PictureIndex& index) {
  write_file_atomic(in_run(run, "index.jsonl"), to_text(index));
}

std::string changes_of_data(const RunConfig& config, const DataFingerprint& before,
                            const DataFingerprint& now) {
  if (config.data_hashes.empty() || config.data_hashes.back() == now.hash()) return "";
  return before.files.empty() ? "their hash differs" : describe_changes(before, now);
}

void check_data(const std::string& run, RunConfig& config, const DataFingerprint& before,
                const DataFingerprint& now, bool accept_changes) {
  const std::string hash = now.hash();
  if (!config.data_hashes.empty() && config.data_hashes.back() == hash) return;
  const std::string changes = changes_of_data(config, before, now);
  if (!changes.empty() && !accept_changes && !newest_was_trained_on(hash, run, config)) {
    fail_usage("train", fmt::format("the pictures are not those that {} was trained on: {}. Put "
                                    "them back, or add --accept-changed-data to go on with them "
                                    "as they are now",
                                    run, changes));
  }
  config.data_hashes.push_back(hash);
}

void check_classes(const std::string& run, const RunConfig& config,
                   const std::vector<std::string>& now) {
  if (now == config.class_names) return;
  const auto text_of = [](const std::vector<std::string>& names) {
    constexpr size_t kNamed = 6;
    std::string text = fmt::format("{} (", names.size());
    for (size_t i = 0; i < std::min(kNamed, names.size()); ++i)
      text += (i > 0 ? ", " : "") + printable(names[i]);
    return text + (names.size() > kNamed ? ", ...)" : ")");
  };
  fail_usage("train", fmt::format("the classes are not those that {} learns: {} instead of {}; its "
                                  "network knows them by their number, so put them back or start "
                                  "a new run",
                                  run, text_of(now), text_of(config.class_names)));
}

void remove_leftovers(const std::string& run) {
  std::vector<std::string> folders = power_average_folders(run);
  for (const char* name : {"", "checkpoints", "samples", "snapshots", "averages"})
    folders.push_back(in_run(run, name));
  for (const std::string& path : folders) {
    if (!exists(path)) continue;
    remove_abandoned_files(path);
    for (const std::string& name : list_names(path)) {
      if (is_abandoned_by_version_0_1_0(name)) remove_file(in_run(path, name));
      // If the file is a link, its temporary files lie beside the link's target.
      const std::string target = follow_links(in_run(path, name));
      const std::string place = fs::path(target).parent_path().string();
      if (target != in_run(path, name) && exists(place)) remove_abandoned_files(place);
    }
  }
}

}  // namespace ddpm
