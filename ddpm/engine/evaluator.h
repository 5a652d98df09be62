// Judges pictures by comparing them with real ones in a space of features.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ddpm/data/pictures.h"
#include "ddpm/engine/drawn_pictures.h"
#include "ddpm/engine/evaluation_parts.h"
#include "ddpm/eval/copies.h"
#include "ddpm/eval/quality.h"

namespace ddpm {

class FeatureCache;
class FeatureNetwork;

struct EvaluationRequest {
  const FeatureNetwork& network;
  const Pictures& real;
  JudgedPictures& judged;
  // The most real pictures. If there are more, it is a random choice that is always the same.
  int64_t most_real = kMostReal;
  // Keeps the features of real pictures. May be null.
  const FeatureCache* cache = nullptr;
  // Called with the number of pictures that are done. `what` is "real" or "generated". May be
  // empty.
  std::function<void(const std::string& what, double done, int64_t total)> progress = {};
};

struct ClassFigures {
  std::string name;
  QualityFigures figures;
};

struct Evaluation {
  // Of the network, and their number.
  std::string features;
  int64_t width = 0;
  QualityFigures figures;
  // Generated pictures that are equal to an earlier one.
  int64_t duplicates = 0;
  // None if there are too few real pictures.
  std::optional<NearCopies> copies;
  // Of classes that both sets have, in the order of the real ones.
  std::vector<ClassFigures> classes;
  // [N, width]
  Tensor real, generated;
  // The real pictures that `real` is of.
  std::vector<int64_t> real_indices;
};

// The features of the real pictures that evaluate() compares with, if there is no cache, and of
// drawn ones: [N, width].
Tensor real_features(const FeatureNetwork& network, const Pictures& pictures);
Tensor drawn_features(const FeatureNetwork& network, JudgedPictures& pictures);

// Everything that the pictures depend on as they are loaded: their source, size and channels, and
// the version of this program. For keys of a FeatureCache.
std::string source_key(const Pictures& pictures);

// Throws Error if pictures cannot be read, drawn or compared.
Evaluation evaluate(const EvaluationRequest& request);

// `count` pictures at most: the numbers of those of a set of `size` that evaluate() compares with,
// or on which bits per dimension are computed.
std::vector<int64_t> real_indices(int64_t size, int64_t count);

// For a grid: each of the `rows` generated pictures that are nearest to being copies, and beside it
// the `nearest` real pictures that are nearest to it. Bytes [rows (1 + nearest), H, W, C]. Both
// sets must have pictures of the same size and channels.
Tensor beside_neighbours(const Evaluation& evaluation, const EvaluationRequest& request,
                         int64_t rows, int64_t nearest);

}  // namespace ddpm
