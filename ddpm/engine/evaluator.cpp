#include "ddpm/engine/evaluator.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "ddpm/base/error.h"
#include "ddpm/base/hash.h"
#include "ddpm/base/philox.h"
#include "ddpm/base/version.h"
#include "ddpm/data/pixels.h"
#include "ddpm/engine/feature_cache.h"
#include "ddpm/eval/features.h"
#include "ddpm/eval/subset.h"

namespace ddpm {

namespace {

constexpr uint64_t kChoiceSeed = 0, kChoiceStream = 2001;

int64_t part_size(const Pictures& pictures) {
  const ImageSize size = pictures.image_size();
  return pictures_of_part(size.height * size.width * pictures.channels());
}

Tensor bytes_of(const Pictures& pictures, const std::vector<int64_t>& indices) {
  return to_bytes(pictures.batch({.indices = indices, .flips = {}}).images);
}

// The features of `count` pictures. read(begin, end) gives some of them.
template <class Read>
Tensor features_in_parts(const FeatureNetwork& network, int64_t count, int64_t part,
                         const Read& read) {
  Tensor features({count, network.width()});
  for (int64_t begin = 0; begin < count; begin += part) {
    const int64_t end = std::min(begin + part, count);
    Tensor rows = features.rows(begin, end);
    rows.copy_from(network(read(begin, end)));
  }
  return features;
}

Tensor real_features(const EvaluationRequest& request, const std::vector<int64_t>& indices) {
  const auto count = static_cast<int64_t>(indices.size());
  const std::string key = request.cache ? fmt::format("{} {} {}", request.network.name(), count,
                                                      source_key(request.real))
                                        : "";
  if (request.cache) {
    const std::optional<Tensor> cached = request.cache->find(key, {count, request.network.width()});
    if (cached) return *cached;
  }
  const Tensor features = features_in_parts(
      request.network, count, part_size(request.real), [&](int64_t begin, int64_t end) {
        if (request.progress) request.progress("real", static_cast<double>(end), count);
        return bytes_of(request.real, {indices.begin() + begin, indices.begin() + end});
      });
  if (request.cache) request.cache->store(key, features);
  return features;
}

Tensor generated_features(const EvaluationRequest& request, int64_t& duplicates) {
  const int64_t count = request.judged.count();
  DuplicateCounter counter;
  const Tensor features = features_in_parts(
      request.network, count, part_size(request.real), [&](int64_t begin, int64_t end) {
        double told = -1;
        const auto tell = [&](double done) {
          if (request.progress && done > told)
            request.progress("generated", static_cast<double>(begin) + done, count);
          told = done;
        };
        const Tensor pictures = request.judged.read(begin, end - begin, tell);
        tell(static_cast<double>(end - begin));
        counter.add(pictures);
        return pictures;
      });
  duplicates = counter.duplicates();
  return features;
}

std::vector<ClassFigures> figures_of_classes(const EvaluationRequest& request,
                                             const Evaluation& evaluation) {
  std::vector<ClassFigures> result;
  const std::vector<std::string> judged = request.judged.classes();
  const std::vector<int64_t> labels = request.real.labels();
  const std::vector<std::string> names = request.real.class_names();
  if (judged.empty() || labels.empty()) return result;
  for (size_t c = 0; c < names.size(); ++c) {
    std::vector<int64_t> real, generated;
    for (size_t i = 0; i < evaluation.real_indices.size(); ++i) {
      if (labels[static_cast<size_t>(evaluation.real_indices[i])] == static_cast<int64_t>(c))
        real.push_back(static_cast<int64_t>(i));
    }
    for (size_t i = 0; i < judged.size(); ++i) {
      if (judged[i] == names[c]) generated.push_back(static_cast<int64_t>(i));
    }
    if (real.empty() || generated.empty()) continue;
    result.push_back({.name = names[c],
                      .figures = quality_figures(chosen_rows(evaluation.real, real),
                                                 chosen_rows(evaluation.generated, generated),
                                                 {.frechet_of_few = false})});
  }
  return result;
}

void add_warnings(const EvaluationRequest& request, Evaluation& evaluation) {
  std::vector<std::string>& warnings = evaluation.figures.warnings;
  if (evaluation.duplicates > 0) {
    warnings.push_back(
        fmt::format("{} of {} generated pictures are equal to another one; the "
                    "model may draw few different pictures, or files are there "
                    "twice",
                    evaluation.duplicates, evaluation.figures.n));
  }
  if (request.real.size() > request.most_real) {
    warnings.push_back(fmt::format("compared with {} of the {} real pictures", request.most_real,
                                   request.real.size()));
  }
  if (!evaluation.copies) {
    warnings.push_back(
        fmt::format("no share of near copies: {} real pictures; at least {} are "
                    "needed",
                    evaluation.figures.n_real, kFewestForCopies));
  }
}

}  // namespace

std::string source_key(const Pictures& pictures) {
  // The pixels of some pictures stand for the options that they were read with, such as the colour
  // behind transparent ones.
  constexpr int64_t kLookedAt = 64;
  const Tensor some = bytes_of(pictures, real_indices(pictures.size(), kLookedAt));
  const std::string_view pixels(reinterpret_cast<const char*>(some.u8()),
                                static_cast<size_t>(some.bytes()));
  const ImageSize size = pictures.image_size();
  return fmt::format("{} {} {}x{}x{} {}", pictures.fingerprint().hash(), hash_hex(pixels),
                     size.height, size.width, pictures.channels(), version());
}

std::vector<int64_t> real_indices(int64_t size, int64_t count) {
  std::vector<int64_t> indices = random_subset(size, count, Philox(kChoiceSeed, kChoiceStream));
  // In the order of the source, which may read it faster so.
  std::sort(indices.begin(), indices.end());
  return indices;
}

Tensor real_features(const FeatureNetwork& network, const Pictures& pictures) {
  const std::vector<int64_t> indices = real_indices(pictures.size(), kMostReal);
  return features_in_parts(
      network, static_cast<int64_t>(indices.size()), part_size(pictures),
      [&](int64_t begin, int64_t end) {
        return bytes_of(pictures, {indices.begin() + begin, indices.begin() + end});
      });
}

Tensor drawn_features(const FeatureNetwork& network, JudgedPictures& pictures) {
  constexpr int64_t kPart = 64;
  return features_in_parts(network, pictures.count(), kPart, [&](int64_t begin, int64_t end) {
    return pictures.read(begin, end - begin, {});
  });
}

Evaluation evaluate(const EvaluationRequest& request) {
  Evaluation evaluation{.features = request.network.name(),
                        .width = request.network.width(),
                        .real_indices = real_indices(request.real.size(), request.most_real)};
  evaluation.real = real_features(request, evaluation.real_indices);
  evaluation.generated = generated_features(request, evaluation.duplicates);
  evaluation.figures = quality_figures(evaluation.real, evaluation.generated);
  if (evaluation.real.size(0) >= kFewestForCopies)
    evaluation.copies = near_copies(evaluation.generated, evaluation.real);
  evaluation.classes = figures_of_classes(request, evaluation);
  add_warnings(request, evaluation);
  return evaluation;
}

Tensor beside_neighbours(const Evaluation& evaluation, const EvaluationRequest& request,
                         int64_t rows, int64_t nearest) {
  if (!evaluation.copies) {
    fail("eval", fmt::format("there are {} real pictures; neighbours need at least {}",
                             evaluation.figures.n_real, kFewestForCopies));
  }
  const NearCopies& copies = *evaluation.copies;
  nearest = std::min(nearest, copies.neighbours.k);
  const std::vector<int64_t> closest = copies.closest(rows);
  const ImageSize size = request.real.image_size();
  const int64_t group = 1 + nearest;
  Tensor all({static_cast<int64_t>(closest.size()) * group, size.height, size.width,
              request.real.channels()},
             DType::kUInt8);
  int64_t place = 0;
  for (const int64_t sample : closest) {
    Tensor first = all.rows(place, place + 1), others = all.rows(place + 1, place + group);
    first.copy_from(request.judged.read(sample, 1, {}));
    std::vector<int64_t> indices;
    for (int64_t p = 0; p < nearest; ++p) {
      indices.push_back(
          evaluation.real_indices[static_cast<size_t>(copies.neighbours.index(sample, p))]);
    }
    others.copy_from(bytes_of(request.real, indices));
    place += group;
  }
  return all;
}

}  // namespace ddpm
