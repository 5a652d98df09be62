#include "ddpm/diffusion/objective.h"

#include <gtest/gtest.h>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/base/philox.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/schedule.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

// Every objective must fulfil this: if the output is the target, the estimate is the image. Both
// are linear in image and noise, so it is enough to check their coefficients.
TEST(Objective, TheEstimateUndoesTheTarget) {
  for (const ObjectiveKind& kind : objective_kinds()) {
    const Process process({.schedule = "cosine", .objective = kind.name});
    const Philox random(3);
    for (uint64_t i = 0; i < 200; ++i) {
      const NoiseLevel level = process.draw(random, i);
      const Preconditioning p = kind.at(level);
      // If hardly any image is left, the subtracted terms are large, and so is their rounding
      // error.
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
  const Preconditioning v = find_objective("v").at(level);
  EXPECT_EQ(v.target_x0, -level.sigma());
  EXPECT_EQ(v.target_noise, level.alpha());
  EXPECT_EQ(v.c_skip, level.alpha());
  EXPECT_EQ(v.c_out, -level.sigma());
  EXPECT_EQ(v.c_in, 1);
}

// Karras et al. 2022, table 1, for sigma_data 0.5. An independent program computed the numbers.
TEST(Objective, EdmIsTableOne) {
  const struct {
    double sigma, c_skip, c_out, c_in;
  } rows[] = {
      {0.002, 0.999984000255996, 0.001999984000192, 1.999984000192},
      {0.05, 0.99009900990099, 0.0497518595104995, 1.99007438041998},
      {1.0, 0.2, 0.447213595499958, 0.894427190999916},
      {10.0, 0.00249376558603491, 0.499376169438922, 0.0998752338877845},
  };
  for (const auto& row : rows) {
    const Preconditioning p =
        find_objective("edm").at({.alpha_squared = 1, .sigma_squared = row.sigma * row.sigma});
    EXPECT_NEAR(p.c_skip / row.c_skip, 1, 1e-12) << row.sigma;
    EXPECT_NEAR(p.c_out / row.c_out, 1, 1e-12) << row.sigma;
    EXPECT_NEAR(p.c_in / row.c_in, 1, 1e-12) << row.sigma;
    // For images of variance sigma_data^2, input and target have unit variance.
    EXPECT_NEAR(p.c_in * p.c_in * (0.25 + row.sigma * row.sigma), 1, 1e-12) << row.sigma;
    EXPECT_NEAR(0.25 * p.target_x0 * p.target_x0 + p.target_noise * p.target_noise, 1, 1e-12)
        << row.sigma;
  }
}

TEST(Objective, FlowPredictsTheVelocity) {
  const Preconditioning p =
      find_objective("flow").at({.alpha_squared = 0.49, .sigma_squared = 0.09, .t = 300});
  EXPECT_EQ(p.target_x0, -1);
  EXPECT_EQ(p.target_noise, 1);
  EXPECT_EQ(p.c_in, 1);
  EXPECT_NEAR(p.c_out, -0.3, 1e-15);
}

TEST(Objective, RefusesAnUnknownName) {
  EXPECT_EQ(
      test::refusal([] { find_objective("epsilon"); }),
      "[objective] there is no objective 'epsilon'; choose " + join_choices(objective_names()));
}

}  // namespace
}  // namespace ddpm
