#include "ddpm/engine/generator.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/diffusion/guidance.h"

namespace ddpm {

int64_t GenerateOptions::total() const {
  return count * std::max<int64_t>(static_cast<int64_t>(labels.size()), 1);
}

void GenerateOptions::fields(Fields& field) {
  constexpr double kMany = 1'000'000;
  field("n", count, "number of pictures; of each class, if --class is given").range(1, kMany);
  field("seed", seed, "picture k of a seed is the same whatever --n and --batch are");
  sampling.fields(field);
  field("guidance", guidance,
        "weight of the class: 1 as it was learnt, more for clearer but less varied pictures in "
        "twice the time, 0 to ignore it; with --guide, of what the model does better than it")
      .range(0, 1000)
      .advice("1.5 to 4 are usual");
  field("guidance_rescale", guidance_rescale,
        "how far the contrast that guidance adds is taken back, up to 1")
      .range(0, 1)
      .advice("0.7 is usual");
  field("guidance_interval", guidance_interval,
        "guide only where the noise (sigma / alpha) lies between these, and save the second pass "
        "elsewhere; HI may be inf")
      .value_name("LO,HI")
      .default_text("everywhere");
  field("batch", batch, "pictures denoised at once; fewer take less memory").range(1, kMostBatch);
}

void GenerateOptions::check() const {
  constexpr int64_t kLast = int64_t{1} << 40;
  check_options("sample", *this, "--");
  sampling.check();
  Guidance guidance_read;
  read_guidance_interval(guidance_interval, guidance_read);
  const struct {
    const char* name;
    int64_t value, highest;
  } others[] = {{"the first picture", first, kLast},
                {"the pictures' height", height, kLargestSide},
                {"the pictures' width", width, kLargestSide}};
  for (const auto& [name, value, highest] : others) {
    if (value >= 0 && value <= highest) continue;
    fail_usage("sample",
               fmt::format("{} is {} but must lie between 0 and {}", name, value, highest));
  }
}

}  // namespace ddpm
