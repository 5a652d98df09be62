#include "ddpm/engine/tuner.h"

#include <gtest/gtest.h>

#include "ddpm/engine/model.h"
#include "ddpm/nn/network.h"
#include "tests/support/errors.h"
#include "tests/support/mixture.h"

namespace ddpm {
namespace {

TEST(Tuner, X) {}

}  // namespace
}  // namespace ddpm
