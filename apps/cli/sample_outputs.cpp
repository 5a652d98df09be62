#include "apps/cli/sample_outputs.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "apps/cli/output.h"
#include "apps/cli/picture_recipe.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/text.h"
#include "ddpm/data/condition.h"
#include "ddpm/data/image.h"

namespace ddpm::cli {
namespace {

constexpr Colour kWhite = {255, 255, 255};

void check_inputs_stay(const SampleFlags& request, const Inputs& inputs) {
  if (!request.out.empty()) inputs.refuse_to_overwrite(request.out);
  if (!request.trajectory.empty()) inputs.refuse_to_overwrite(request.trajectory);
  // Outputs keep the names of the inputs, also those in folders inside.
  const std::string &each = request.each, &folder = inputs.folder();
  if (each.empty()) return;
  if (same_file(each, folder)) {
    fail_usage("sample", fmt::format("--each {} is the folder of the inputs; choose another, so "
                                     "that none is overwritten",
                                     each));
  }
  if (lies_inside(each, request.input) ||
      (std::filesystem::is_directory(request.input) && lies_inside(request.input, each))) {
    fail_usage("sample", fmt::format("of --each {} and the folder of the inputs, one lies inside "
                                     "the other; choose another, so that none is overwritten",
                                     each));
  }
}

std::vector<std::string> names_for(const SampleLayout& layout, const Inputs* inputs) {
  if (inputs == nullptr) return {};
  return inputs->output_names(layout.count / inputs->count());
}

Tensor picture_of(const Tensor& pictures, int64_t k) {
  return pictures.rows(k, k + 1).reshape({pictures.size(1), pictures.size(2), pictures.size(3)});
}

void check_out_is_no_single(const SampleFlags& request, const PictureFolder& each) {
  if (request.each.empty() || request.out.empty()) return;
  if (!each.holds(request.out) && !same_file(request.each, request.out)) return;
  fail_usage("sample", fmt::format("--out {} would be one of the files of --each {}; choose "
                                   "another name",
                                   request.out, request.each));
}

}  // namespace

SampleOutputs::SampleOutputs(const SampleFlags& request, const SampleLayout& layout,
                             const Inputs* inputs)
    : request_(request),
      layout_(layout),
      each_(request.each, layout.count, names_for(layout, inputs)),
      finished_(static_cast<size_t>(layout.count)) {
  if (inputs != nullptr) check_inputs_stay(request, *inputs);
  check_out_is_no_single(request, each_);
  check_sizes(request, layout_);
  const int64_t steps = request.generate.sampling.steps;
  const Shape images{layout.count, layout.image[0], layout.image[1], layout.image[2]};
  if (!request.each.empty()) each_.open();
  if (!request.out.empty()) out_ = std::make_unique<OutputFile>(request.out);
  if (!request.trajectory.empty()) {
    film_ = std::make_unique<OutputFile>(request.trajectory);
    trajectory_.emplace(steps, images);
  }
  if (!request.tensors.empty())
    tensors_.emplace(request.tensors, images, steps, request.every_step);
}

void SampleOutputs::prepare(const RecipeWriter& recipes, bool alone) {
  recipes_ = &recipes;
  recipe_of_out_ = alone ? recipes.picture(0) : recipes.grid(layout_.columns, layout_.grid.scale);
  if (!request_.each.empty())
    finished_ = find_finished(each_, layout_.count, recipes, request_.overwrite);
}

std::vector<int64_t> SampleOutputs::missing() const {
  std::vector<int64_t> missing;
  for (int64_t k = 0; k < layout_.count; ++k) {
    // The animation and the tensors hold what no picture file does.
    if (!finished_[static_cast<size_t>(k)] || trajectory_ || tensors_) missing.push_back(k);
  }
  return missing;
}

void SampleOutputs::put(int64_t k, const Tensor& picture) {
  grid_->put(layout_.cell(k), convert_channels(picture, layout_.channels, kWhite));
}

void SampleOutputs::begin_grid(const Tensor& conditions) {
  if (!out_) return;
  grid_.emplace(layout_.shown, layout_.cell_shape(), layout_.grid);
  if (layout_.inputs > 0) {
    const Tensor shown = viewable_condition(conditions);
    for (int64_t i = 0; i < layout_.inputs; ++i) {
      grid_->put(layout_.cell_of_input(i),
                 convert_channels(picture_of(shown, i), layout_.channels, kWhite));
    }
  }
  for (int64_t k = 0; k < layout_.count; ++k) {
    if (!finished_[static_cast<size_t>(k)] || trajectory_ || tensors_) continue;
    const Tensor picture = decode_image(read_file(each_.file(k)), {});
    if (picture.size(0) != layout_.image[0] || picture.size(1) != layout_.image[1]) {
      fail_usage("sample", fmt::format("{} is {}x{}, not {}x{} as its recipe says; remove it, or "
                                       "give --overwrite",
                                       each_.file(k), picture.size(0), picture.size(1),
                                       layout_.image[0], layout_.image[1]));
    }
    put(k, convert_channels(picture, layout_.image[2], kWhite));
  }
}

bool SampleOutputs::attempt(const std::function<void()>& work) {
  try {
    work();
    return true;
  } catch (const Error& error) {
    if (failure_.empty()) failure_ = error.what();
    return false;
  }
}

void SampleOutputs::add(const GenerateProgress& now) {
  if (trajectory_) trajectory_->add(now.step, now.begin, *now.x);
  if (tensors_) tensors_->add(now);
}

void SampleOutputs::write_each(int64_t k, const Tensor& picture) {
  each_.write(k, png_with_recipe(picture, recipes_->picture(k)));
  ++written_;
}

void SampleOutputs::add(const GeneratedBatch& batch) {
  if (tensors_) tensors_->add(batch);
  if (!request_.makes_pictures()) return;
  const Tensor pictures = to_bytes(batch.images);
  for (int64_t i = 0; i < pictures.size(0); ++i) {
    const int64_t k = batch.which[static_cast<size_t>(i)];
    const Tensor picture = picture_of(pictures, i);
    if (grid_) put(k, picture);
    if (request_.each.empty() || finished_[static_cast<size_t>(k)] || each_failed_) continue;
    each_failed_ = !attempt([&] { write_each(k, picture); });
    // No need to draw what nobody will see.
    if (each_failed_ && !out_ && !film_ && !tensors_) finish();
  }
}

void SampleOutputs::finish() {
  const auto wrote = [](const std::string& path) {
    print(fmt::format("wrote {}\n", printable(path)));
  };
  if (out_) {
    attempt([&] {
      out_->write(png_with_recipe(grid_->picture(), recipe_of_out_));
      wrote(request_.out);
    });
  }
  if (!request_.each.empty() && !each_failed_) {
    const auto there = std::count(finished_.begin(), finished_.end(), true);
    const std::string before =
        there > 0 ? fmt::format("; {} {} there already", there, there == 1 ? "was" : "were") : "";
    print(fmt::format("wrote {} picture{} into {}{}\n", written_, plural(written_),
                      printable(request_.each), before));
  }
  if (film_) {
    attempt([&] {
      film_->write(trajectory_->encode(layout_.plain));
      wrote(request_.trajectory);
    });
  }
  if (tensors_) {
    attempt([&] {
      tensors_->write();
      wrote(request_.tensors);
    });
  }
  if (!failure_.empty())
    throw Error(failure_ + "; once this is fixed, the same command makes the same pictures");
}

}  // namespace ddpm::cli
