#include "apps/cli/picture_recipe.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>

#include "apps/cli/output.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/text.h"
#include "ddpm/base/version.h"
#include "ddpm/data/image.h"
#include "ddpm/data/pixels.h"

namespace ddpm::cli {
namespace {

constexpr char kKeyword[] = "ddpm";

// "seed is 3 there and 4 here", of the first member that differs.
std::string difference(const JsonObject& there, const JsonObject& here) {
  for (const auto& [name, value] : here.members()) {
    const std::string* other = there.find(name);
    if (name.ends_with("_path") || (other != nullptr && *other == value)) continue;
    return fmt::format("{} is {} there and {} here", name, other ? *other : "missing", value);
  }
  return "it has further options";
}

// What lies at the name of a picture. If it is neither finished nor in the way, the picture must be
// made (again).
struct Found {
  bool finished = false;
  std::string in_the_way = {};
};

Found look_at(const std::string& path, const JsonObject& recipe) {
  std::error_code error;
  if (is_link(path) && !std::filesystem::is_regular_file(path, error))
    return {.in_the_way = "is a link that leads to no file"};
  const std::optional<FileStatus> status = find_file(path);
  // What is left of a picture if the computer lost its power: see AtomicFileOptions::sync.
  if (!status || (status->bytes == 0 && !is_link(path))) return {};
  try {
    const std::optional<JsonObject> found = recipe_in(path);
    if (!found) return {.in_the_way = "does not say how it was made"};
    if (!same_recipe(*found, recipe))
      return {.in_the_way = "was made in another way: " + difference(*found, recipe)};
    return {.finished = png_damage(read_file(path)).empty()};
  } catch (const UsageError&) {
    return {.in_the_way = "is none of these pictures"};
  }
}

[[noreturn]] void refuse_flag(const SampleFlags& request, const std::string& flag,
                              const std::string& why) {
  fail_usage("sample", fmt::format("--{} and --like {} contradict each other: {}; leave one out",
                                   flag, request.like, why));
}

void check_flags(const SampleFlags& request, const Flags& flags, const Recipe& recipe) {
  const Fields made = fields_of(recipe.options);
  for (const Field& field : fields_of(request.generate)) {
    const std::string flag = flag_name(field.name());
    if (field.name() == "batch" || !flags.given(flag)) continue;
    const std::string value = made.find(field.name())->json();
    if (field.json() != value)
      refuse_flag(request, flag, fmt::format("it was made with {} {}", field.name(), value));
  }
  for (const char* flag : {"class", "each", "noise"}) {
    if (flags.given(flag)) refuse_flag(request, flag, "it says which picture is made");
  }
  const auto check = [&](const char* flag, bool same, const std::string& value) {
    if (flags.given(flag) && !same)
      refuse_flag(request, flag, fmt::format("it was made with {}", value));
  };
  check("device", request.machine.device == recipe.device, recipe.device);
  check("weights", request.model.weights == recipe.model.weights, recipe.model.weights);
  check("columns", request.columns == recipe.columns, std::to_string(recipe.columns));
  check("scale", request.scale == recipe.scale, std::to_string(recipe.scale));
  if (!request.size.empty()) {
    const auto [height, width] = parse_image_size(request.size);
    check("size", height == recipe.options.height && width == recipe.options.width,
          fmt::format("{}x{}", recipe.options.height, recipe.options.width));
  }
}

// The guide's file of a recipe: where it was, or at the same path from the folder of the picture.
// The first with the right hash, or else the first that exists.
std::string find_guide(const RecipeModel& guide, const std::string& like) {
  namespace fs = std::filesystem;
  std::vector<std::string> places = {guide.path};
  if (fs::path(guide.path).is_relative())
    places.push_back((fs::path(like).parent_path() / guide.path).string());
  places.push_back((fs::path(like).parent_path() / fs::path(guide.path).filename()).string());
  std::vector<std::string> there, tried;
  for (const std::string& place : places) {
    if (std::find(tried.begin(), tried.end(), place) != tried.end()) continue;
    tried.push_back(place);
    const std::optional<FileStatus> found = find_file(place);
    if (!found || found->type != FileType::kRegular) continue;
    if (hash_of_file(place) == guide.hash) return place;
    there.push_back(place);
  }
  if (!there.empty()) return there.front();
  fail_usage("sample", fmt::format("the guide of {} is not there any more; tried {}. Give it as "
                                   "--guide",
                                   like, fmt::join(tried, ", ")));
}

}  // namespace

std::string png_with_recipe(const Tensor& picture, const JsonObject& recipe) {
  return with_png_text(encode_png(picture), kKeyword, recipe.dump(-1));
}

std::optional<JsonObject> recipe_in(const std::string& path) {
  if (const std::optional<FileStatus> found = find_file(path);
      found && found->type == FileType::kFolder) {
    fail_usage("sample",
               fmt::format("{} is a folder; give a PNG that ddpm sample has written", path));
  }
  try {
    const std::optional<std::string> text = png_text(read_file(path), kKeyword, kMostJsonBytes);
    if (!text) return std::nullopt;
    return JsonObject::parse(*text, fmt::format("the text in {}", path));
  } catch (const SystemError&) {
    throw;
  } catch (const Error& error) {
    fail_usage("sample", fmt::format("{}: {}; only a PNG that ddpm sample has written says how it "
                                     "was made",
                                     path, without_place(error.what())));
  }
}

std::vector<bool> find_finished(const PictureFolder& folder, int64_t count,
                                const RecipeWriter& recipes, bool overwrite) {
  std::vector<bool> finished(static_cast<size_t>(count));
  for (int64_t k = 0; k < count; ++k) {
    if (overwrite) continue;
    const std::string path = folder.file(k);
    const Found found = look_at(path, recipes.picture(k));
    if (!found.in_the_way.empty()) {
      fail_usage("sample", fmt::format("{} {}; choose another folder for --each, or give "
                                       "--overwrite to replace it",
                                       path, found.in_the_way));
    }
    finished[static_cast<size_t>(k)] = found.finished;
  }
  return finished;
}

Recipe take_like(SampleFlags& request, const Flags& flags) {
  const std::optional<JsonObject> found = recipe_in(request.like);
  if (!found) {
    fail_usage("sample", fmt::format("{} does not say how it was made; give a PNG that ddpm sample "
                                     "has written",
                                     request.like));
  }
  Recipe recipe = [&] {
    try {
      return read_recipe(*found, request.like);
    } catch (const SystemError&) {
      throw;
    } catch (const Error& error) {
      fail_usage("sample", std::string(without_place(error.what())));
    }
  }();
  if (!recipe.noise.empty()) {
    fail_usage("sample",
               fmt::format("{} was made from recorded noise, which it does not hold; give "
                           "its --noise and other flags once more instead of --like",
                           request.like));
  }
  check_flags(request, flags, recipe);
  if (recipe.version != version()) {
    say(fmt::format("warning: {} was made by version {}, and this is {}; the bits may differ\n",
                    printable(request.like), printable(recipe.version), version()));
  }
  const int64_t batch = request.generate.batch;
  request.generate = recipe.options;
  request.generate.batch = batch;
  request.machine.device = recipe.device;
  request.model.weights = recipe.model.weights;
  request.columns = recipe.columns;
  request.scale = recipe.scale;
  if (request.guide.path.empty() && !recipe.guide.path.empty())
    request.guide.path = find_guide(recipe.guide, request.like);
  return recipe;
}

void require_same_model(const RecipeModel& recipe, const RecipeModel& model, const char* flag,
                        const std::string& like) {
  if (recipe.hash == model.hash) return;
  fail_usage("sample",
             fmt::format("{} was made with another {}: its file had the hash {} and was {}, but {} "
                         "has the hash {}; give the file that it was made with",
                         like, flag, recipe.hash.empty() ? "(none)" : recipe.hash,
                         recipe.path.empty() ? "(none)" : recipe.path,
                         model.path.empty() ? "none" : model.path,
                         model.hash.empty() ? "(none)" : model.hash));
}

}  // namespace ddpm::cli
