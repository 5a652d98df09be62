#include "ddpm/engine/run_directory.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <set>
#include <sstream>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/hash.h"
#include "ddpm/base/options.h"
#include "ddpm/base/version.h"
#include "ddpm/data/pixels.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;

// Options that a resumed run may change: they decide how long it runs, what it writes and how it
// computes, not what is learnt.
bool may_change(std::string_view field) {
  static const std::set<std::string_view> free = {
      "data",         "steps",        "threads",      "log_every",        "save_every",
      "sample_every", "sample_count", "sample_steps", "keep_checkpoints", "checkpointing"};
  return free.contains(field);
}

JsonObject options_json(const TrainOptions& options) {
  JsonObject object;
  write_options(options, object);
  return object;
}

// The first option that decides what is learnt and differs, of those that both know.
struct Difference {
  std::string name, before, now;  // JSON texts
};
std::optional<Difference> difference(const JsonObject& before, const JsonObject& now) {
  for (const auto& [name, value] : before.members()) {
    const std::string* other = now.find(name);
    if (!may_change(name) && other != nullptr && *other != value)
      return Difference{name, value, *other};
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

// A misspelt key would silently leave its option at the default.
void refuse_unknown_keys(const JsonObject& object) {
  const JsonObject known = options_json({});
  for (const auto& [name, value] : object.members()) {
    if (name == "version" || name == "model" || name == "run" || name == "data_hashes") continue;
    if (known.find(name) == nullptr)
      fail("train", fmt::format("it sets {}, which is no option", json_value::write(name)));
  }
}

// "auto" channels were worked out when the run was started, from the pictures of then.
void fix_channels(const JsonObject& object, const std::string& path, TrainOptions& options) {
  const std::string* model = object.find("model");
  if (options.channels != "auto" || model == nullptr) return;
  const ModelConfig config = model_config_from_json(*model, fmt::format("\"model\" in {}", path));
  options.channels = std::to_string(config.network.channels);
}

// The configuration as the newest sound checkpoint holds it.
RunConfig config_from_checkpoint(const std::string& run, const Warn& warn) {
  const std::vector<CheckpointEntry> all = list_checkpoints(run);
  if (all.empty()) {
    fail("train", fmt::format("{} holds no run to resume: neither config.json nor checkpoints; "
                              "leave --resume out to start one",
                              run));
  }
  for (auto entry = all.rbegin(); entry != all.rend(); ++entry) {
    try {
      const Checkpoint checkpoint = Checkpoint::open(entry->path);
      const CheckpointMarks& marks = checkpoint.marks();
      if (marks.options.empty()) continue;
      RunConfig config{.options = {}, .id = marks.run, .data_hashes = {marks.data}};
      read_options(JsonObject::parse(marks.options, entry->path), config.options);
      warn(fmt::format("{} is lost; the options are those in {}", in_run(run, "config.json"),
                       entry->path));
      return config;
    } catch (const SystemError&) {
      throw;
    } catch (const Error&) {
      continue;  // the caller will name it when it looks for the newest one
    }
  }
  fail("train", fmt::format("{} holds checkpoints but no config.json, and no sound checkpoint that "
                            "tells the run's options; put config.json back to resume it. "
                            "'ddpm sample {}' works without",
                            run, run));
}

// Whether the newest checkpoint that is sound and of this run says so: then it is the hash in
// config.json that was damaged.
bool newest_was_trained_on(const std::string& data_hash, const std::string& run,
                           const RunConfig& config) {
  const std::vector<CheckpointEntry> all = list_checkpoints(run);
  for (auto entry = all.rbegin(); entry != all.rend(); ++entry) {
    try {
      const Checkpoint checkpoint = Checkpoint::open(entry->path);
      if (checkpoint.marks().run == config.id && !config.id.empty())
        return checkpoint.marks().data == data_hash;
    } catch (const SystemError&) {
      throw;
    } catch (const Error&) {
      continue;  // named when the newest one is looked for
    }
  }
  return false;
}

// Is it NAME.PID.tmp, and that process gone?
bool is_abandoned_by_version_0_1_0(const fs::path& name) {
  const std::string number = name.stem().extension().string();  // ".PID"
  if (name.extension() != ".tmp" || number.size() < 2) return false;
  pid_t pid = 0;
  const char* end = number.data() + number.size();
  const auto parsed = std::from_chars(number.data() + 1, end, pid);
  return parsed.ec == std::errc() && parsed.ptr == end && pid > 0 && kill(pid, 0) != 0 &&
         errno == ESRCH;
}

}  // namespace

std::string in_run(const std::string& run, const std::string& name) {
  return (fs::path(run) / name).string();
}

RunConfig start_config(const TrainOptions& options, const ModelConfig& model,
                       const DataFingerprint& data) {
  const JsonObject all = options_json(options);
  JsonObject identity;
  for (const auto& [name, value] : all.members())
    if (!may_change(name)) identity.set(name, value);
  identity.set("model", to_json(model));
  identity.set("data_hash", json_value::write(data.hash()));
  return {.options = options, .id = hash_hex(identity.dump(-1)), .data_hashes = {data.hash()}};
}

RunConfig read_run_config(const std::string& run, const Warn& warn) {
  const std::string path = in_run(run, "config.json");
  if (!exists(path)) return config_from_checkpoint(run, warn);
  RunConfig config;
  try {
    const JsonObject object = JsonObject::parse(read_file(path), path);
    refuse_unknown_keys(object);
    read_options(object, config.options);
    fix_channels(object, path, config.options);
    config.id = text_of(object, "run");
    config.data_hashes = split(text_of(object, "data_hashes"));
  } catch (const SystemError&) {
    throw;
  } catch (const Error& error) {
    fail("train", fmt::format("{} is damaged: {}. Put it right, or move it away: the options are "
                              "then taken from the newest checkpoint",
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

void adopt_started_options(const TrainOptions& started_with, TrainOptions& options) {
  if (options.channels == "auto") options.channels = started_with.channels;
  if (parse_image_size(options.size) == parse_image_size(started_with.size))
    options.size = started_with.size;
  const auto changed = difference(options_json(started_with), options_json(options));
  if (!changed) return;
  fail_usage("train", fmt::format("the run was started with {} = {} and cannot be resumed with {}; "
                                  "leave the option out, or start a new run in another directory",
                                  changed->name, changed->before, changed->now));
}

CheckpointMarks marks_of(const RunConfig& config) {
  return {.run = config.id,
          .data = config.data_hashes.empty() ? "" : config.data_hashes.back(),
          .options = options_json(config.options).dump(-1)};
}

std::string why_foreign(const CheckpointMarks& marks, const RunConfig& config) {
  if (marks.run.empty()) return "";  // of version 0.1.0, which left no marks
  if (marks.run != config.id) return "it belongs to another run";
  if (std::find(config.data_hashes.begin(), config.data_hashes.end(), marks.data) ==
      config.data_hashes.end())
    return "it was trained on other pictures";
  const auto edited =
      difference(JsonObject::parse(marks.options, "ddpm.options"), options_json(config.options));
  if (!edited) return "";
  fail_usage("train",
             fmt::format("config.json was edited: it says {} = {}, but the run was started "
                         "with {}; put that back, or start a new run in another directory",
                         edited->name, edited->now, edited->before));
}

DataFingerprint read_data_index(const std::string& run, const RunConfig& config) {
  const std::string path = in_run(run, "data.jsonl");
  if (!exists(path)) return {};
  const std::string text = read_file(path);
  try {
    DataFingerprint index = fingerprint_from_text(text, path);
    if (!config.data_hashes.empty() && index.hash() == config.data_hashes.back()) return index;
  } catch (const Error&) {
  }
  return {};  // the hash in config.json decides; the index only tells what changed
}

void write_data_index(const std::string& run, const DataFingerprint& data) {
  write_file_atomic(in_run(run, "data.jsonl"), to_text(data));
}

void check_data(const std::string& run, RunConfig& config, const DataFingerprint& before,
                const DataFingerprint& now, bool accept_changes) {
  const std::string hash = now.hash();
  if (!config.data_hashes.empty() && config.data_hashes.back() == hash) return;
  if (!config.data_hashes.empty() && !accept_changes && !newest_was_trained_on(hash, run, config)) {
    fail_usage("train", fmt::format("the pictures are not those that {} was trained on: {}. Put "
                                    "them back, or add --accept-changed-data to go on with them "
                                    "as they are now",
                                    run,
                                    before.files.empty() ? "their hash is another"
                                                         : describe_changes(before, now)));
  }
  config.data_hashes.push_back(hash);
}

void remove_leftovers(const std::string& run) {
  for (const char* folder : {"", "checkpoints", "samples"}) {
    const std::string path = in_run(run, folder);
    if (!exists(path)) continue;
    remove_abandoned_files(path);
    for (const std::string& name : list_names(path))
      if (is_abandoned_by_version_0_1_0(name)) remove_file(in_run(path, name));
  }
}

}  // namespace ddpm
