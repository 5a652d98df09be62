#include "apps/cli/classes.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "apps/cli/common.h"
#include "apps/cli/suggestions.h"
#include "ddpm/base/error.h"
#include "ddpm/base/text.h"

namespace ddpm::cli {
namespace {

constexpr size_t kNamed = 20;

std::vector<std::string> names_of(const ModelConfig& model) {
  std::vector<std::string> names;
  for (int64_t label = 0; label < model.network.classes(); ++label)
    names.push_back(model.class_name(label));
  return names;
}

// The number of "#3", -1 where it is none of a class.
int64_t number_of(const std::string& text, int64_t classes) {
  int64_t number = -1;
  if (!text.starts_with('#')) return -1;
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data() + 1, end, number);
  return error == std::errc() && stopped == end && number < classes ? number : -1;
}

// The labels of one word.
std::vector<int64_t> labels_of(const std::string& word, const std::vector<std::string>& names,
                               const ModelConfig& model) {
  const auto named = std::find(names.begin(), names.end(), word);
  if (named != names.end()) return {named - names.begin()};
  if (const int64_t number = number_of(word, model.network.classes()); number >= 0) return {number};
  if (word == "none") return {-1};
  if (word == "all") {
    std::vector<int64_t> all(names.size());
    std::iota(all.begin(), all.end(), int64_t{0});
    return all;
  }
  if (word.empty()) {
    fail_usage("sample", "--class has an empty name; give names with one comma between them");
  }
  fail_usage("sample", unknown(fmt::format("there is no class '{}'", printable(word)),
                               printable(nearest(word, names)),
                               fmt::format("there are {}, and #0 to #{} by number",
                                           class_list(model, kNamed), names.size() - 1)));
}

}  // namespace

std::string describe_classes(const ClassLabels& labels, size_t most_named) {
  if (labels.of_pictures.empty()) return "";
  std::vector<int64_t> counts(labels.names.size());
  int64_t without = 0;
  for (const int64_t label : labels.of_pictures)
    ++(label < 0 ? without : counts[static_cast<size_t>(label)]);
  const auto classes = static_cast<int64_t>(counts.size());
  std::string text = fmt::format("{} class{}: ", classes, classes == 1 ? "" : "es");
  for (size_t i = 0; i < std::min(counts.size(), most_named); ++i) {
    text += fmt::format("{}{} ({})", i > 0 ? ", " : "", printable(labels.names[i]), counts[i]);
  }
  if (counts.size() > most_named) text += fmt::format(" and {} more", counts.size() - most_named);
  if (without > 0) text += fmt::format("; {} picture{} of no class", without, plural(without));
  return text + "\n";
}

std::vector<int64_t> parse_classes(const std::string& text, const ModelConfig& model) {
  if (model.network.classes() == 0) {
    fail_usage("sample",
               "--class asks for a class, but the model was trained without any; train "
               "with --classes or --labels");
  }
  const std::vector<std::string> names = names_of(model);
  // A name may hold commas.
  if (std::find(names.begin(), names.end(), text) != names.end())
    return labels_of(text, names, model);
  std::vector<int64_t> labels;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::vector<int64_t> more = labels_of(text.substr(begin, end - begin), names, model);
    labels.insert(labels.end(), more.begin(), more.end());
    begin = end + 1;
  }
  return labels;
}

std::string class_list(const ModelConfig& model, size_t most_named, bool with_counts) {
  std::string text;
  const std::vector<std::string> names = names_of(model);
  for (size_t i = 0; i < std::min(names.size(), most_named); ++i) {
    text += (i > 0 ? ", " : "") + printable(names[i]);
    if (with_counts && !model.class_counts.empty())
      text += fmt::format(" ({})", model.class_counts[i]);
  }
  return names.size() > most_named ? fmt::format("{}, ... ({} in all)", text, names.size()) : text;
}

}  // namespace ddpm::cli
