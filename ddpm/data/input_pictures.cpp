#include "ddpm/data/input_pictures.h"

#include <fmt/core.h>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/data/source.h"
#include "ddpm/data/source_kinds.h"

namespace ddpm {

InputPictures::InputPictures(const std::string& path) {
  const std::optional<FileStatus> found = find_file(path);
  if (!found)
    fail("input",
         fmt::format("there is no {}; give a picture, or a folder or an archive of them", path));
  const auto reader = std::make_shared<const FileReader>(nullptr);
  const bool is_folder = found->type == FileType::kFolder;
  const bool holds_several = is_folder || looks_like_archive(path);
  PictureList list = is_folder       ? list_folder(path, reader)
                     : holds_several ? list_archive(path, reader)
                                     : list_file(path, reader);
  if (!list.skipped.empty()) {
    const SkippedFile& first = list.skipped.front();
    fail("input", fmt::format("{}: {}", first.path, first.reason));
  }
  const std::string name = base_name(path);
  folder_ = holds_several ? path : path.substr(0, path.size() - name.size());
  if (folder_.empty()) folder_.push_back('.');
  for (int64_t i = 0; i < list.count; ++i) {
    const size_t before = join_path(path, "x").size() - 1;
    names_.push_back(holds_several ? list.path_of(i).substr(before) : name);
  }
  list_ = std::make_shared<const PictureList>(std::move(list));
}

Tensor InputPictures::load(int64_t i) const {
  try {
    return list_->load(i, Fitting()).image;
  } catch (const Error& error) {
    fail("input", fmt::format("{}: {}", list_->path_of(i), reason_to_skip(error)));
  }
}

}  // namespace ddpm
