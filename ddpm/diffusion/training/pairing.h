// Which noise belongs to which image of a batch. Near pairs make the paths from noise to image
// shorter and cross less, so that the network has less to average over.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

enum class Pairing {
  // As drawn.
  kNone,
  // The sum of the distances between images and noises is least (Li et al. 2024, arXiv:2406.12303).
  kImmiscible,
  // The sum of their squares is least: optimal transport between the images and the noises of a
  // batch (Tong et al. 2023, arXiv:2302.00482; Pooladian et al. 2023, arXiv:2304.14772).
  kOptimalTransport,
};
// "none", "immiscible", "ot".
std::vector<std::string> pairing_names();
// Throws UsageError naming the choices.
Pairing find_pairing(std::string_view name);

// The most images that are paired together. The images of a larger set are paired in runs of this
// many, because the time of a pairing grows with the cube of their number, and the distances with
// the square.
inline constexpr int64_t kMostPaired = 512;

// The noise that each image gets, as an index of the noises: a permutation. images and noise are
// [N, ...], in host memory. Only images with the same number in `sets` exchange noises; empty means
// that all may. It depends only on the values, not on the threads. A distance that is not finite
// counts as very large.
std::vector<int64_t> paired_noise(Pairing pairing, const Tensor& images, const Tensor& noise,
                                  const std::vector<int64_t>& sets = {});

// For each image the first one for which all of `told` is the same: a number for each set of images
// of which a network is told the same. Noises must not be exchanged between sets, or a network that
// is told a class would learn from noise that is not normal for it (Cheng & Schwing 2025,
// arXiv:2503.10636). Each of `told` is empty or [N, ...], in host memory.
std::vector<int64_t> sets_told_apart(const std::vector<Tensor>& told, int64_t images);

}  // namespace ddpm
