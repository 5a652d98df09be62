// ddpm eval: the two sets of pictures that are compared.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "apps/cli/flags.h"
#include "ddpm/data/pictures.h"
#include "ddpm/data/source.h"
#include "ddpm/engine/drawn_pictures.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/model.h"

namespace ddpm::cli {

// The flags that choose the pictures.
struct SetFlags {
  std::string data, size, channels = "auto", background, fit = "cover", condition, labels;
  bool classes = false;
  // The real pictures must have classes, also if neither --classes nor --labels is given.
  bool needs_classes = false;

  void declare(Flags& flags);
};

struct Sets {
  std::shared_ptr<const Pictures> real;
  std::unique_ptr<JudgedPictures> judged;
  // For the user, one sentence each.
  std::vector<std::string> notes;
};

// Says that files were left out, if some were.
void report_skipped(const LoadReport& report, const std::string& source);

// Whether the argument MODEL names a source of pictures instead.
bool names_pictures(const std::string& path);

// Sets the size that a model draws: the one asked for, or else that of its training. Throws
// UsageError if there is none, and for a size that it cannot draw.
void set_size(const Model& model, const SetFlags& flags, GenerateOptions& generate);

// The pictures of flags.data, with the size given and the channels, the condition and, where both
// have some, the classes of a model. What the user should know goes to `notes`. Throws UsageError
// for flags that do not fit the model.
std::shared_ptr<const Pictures> real_pictures(const ModelConfig& config, const SetFlags& flags,
                                              ImageSize size, std::vector<std::string>& notes);

// The pictures that a model draws, as `generate` says. The sets keep a reference to the model.
// Throws UsageError for flags that do not fit it.
Sets sets_of_model(const Model& model, const SetFlags& flags, const GenerateOptions& generate);

// At most n pictures of a source. Both sets get the size of its first picture, unless another is
// asked for, and the channels of the set that has more.
Sets sets_of_pictures(const std::string& source, const SetFlags& flags, int64_t n);

}  // namespace ddpm::cli
