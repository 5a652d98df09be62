#include "ddpm/diffusion/objective.h"

#include <gtest/gtest.h>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/diffusion/process.h"

namespace ddpm {
namespace {

// What an objective must be: from an output that is the target, the estimate is the image. Both are
// linear in image and noise, so it is enough to look at their coefficients.
TEST(Objective, TheEstimateUndoesTheTarget) {
  for (const ObjectiveKind& kind : objective_kinds()) {
    const Process process({.schedule = "cosine", .objective = kind.name});
    const Philox random(3);
    for (uint64_t i = 0; i < 200; ++i) {
      const NoiseLevel level = process.draw(random, i);
      const Preconditioning p = kind.at(level);
      // Where hardly any image is left, what is subtracted is large, and so is its rounding.
      const double bound = 1e-14 * (1 + std::abs(p.c_skip) + std::abs(p.c_out));
      EXPECT_NEAR(p.c_skip * level.alpha() + p.c_out * p.target_x0, 1, bound) << kind.name << i;
      EXPECT_NEAR(p.c_skip * level.sigma() + p.c_out * p.target_noise, 0, bound) << kind.name << i;
      EXPECT_GT(p.c_in, 0) << kind.name;
    }
  }
}

TEST(Objective, TargetsAreThoseOfThePapers) {
  const NoiseLevel level = Schedule("linear").level(300);
  const Preconditioning eps = find_objective("eps").at(level);
  EXPECT_EQ(eps.target_x0, 0);
  EXPECT_EQ(eps.target_noise, 1);
  EXPECT_EQ(eps.c_in, 1);
  const Preconditioning x0 = find_objective("x0").at(level);
  EXPECT_EQ(x0.target_x0, 1);
  EXPECT_EQ(x0.target_noise, 0);
  EXPECT_EQ(x0.c_skip, 0);
  EXPECT_EQ(x0.c_out, 1);
  EXPECT_EQ(x0.c_in, 1);
}

TEST(Objective, RefusesAnUnknownName) {
  try {
    find_objective("epsilon");
    ADD_FAILURE() << "no UsageError";
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "[objective] there is no objective 'epsilon'; choose eps or x0");
  }
}

}  // namespace
}  // namespace ddpm
