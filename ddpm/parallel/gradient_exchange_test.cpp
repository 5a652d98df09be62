// The exchange of gradients and weights between ranks, which are threads here.
#include "ddpm/parallel/gradient_exchange.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "ddpm/comm/thread_group.h"
#include "ddpm/parallel/shards.h"

namespace ddpm {
namespace {

const std::vector<Shape> kShapes = {{3}, {20}, {64, 3}, {1000}, {7}, {2, 5, 4}};

// The gradient of parameter i that a part of the batch gives. The order of sums matters. `whole`:
// small integers instead, which bfloat16 holds and whose sums are exact.
Tensor gradient(size_t i, int64_t part, bool whole) {
  Tensor values(kShapes[i]);
  for (int64_t n = 0; n < values.elements(); ++n) {
    const double wave =
        std::sin(static_cast<double>(1 + n + 31 * part) * static_cast<double>(i + 1));
    values.f32()[n] =
        static_cast<float>(whole ? std::round(5 * wave) : wave * std::pow(10.0, part % 4));
  }
  return values;
}

std::vector<PartialSum> sums_of(size_t i, const Range& parts, bool whole) {
  OrderedSum sum;
  for (int64_t part = parts.begin; part < parts.end; ++part)
    sum.add({.index = part, .sum = gradient(i, part, whole)});
  return sum.take();
}

Tensor weights(size_t i) {
  Tensor values(kShapes[i]);
  for (int64_t n = 0; n < values.elements(); ++n)
    values.f32()[n] = static_cast<float>(n) - 100.0F * static_cast<float>(i);
  return values;
}

struct Setting {
  int ranks;
  // Of the batch.
  int64_t parts;
  ExchangeOptions options;
};

class GradientExchangeOf : public ::testing::TestWithParam<Setting> {
 protected:
  // A bucket holds parameters of several ranks.
  static std::vector<int> owners() {
    std::vector<int> owners;
    for (int i = 0; i < static_cast<int>(kShapes.size()); ++i)
      owners.push_back(i % GetParam().ranks);
    return owners;
  }
};

// A step of plain gradient descent, twice.
void descend(Communicator& ranks, const Setting& setting, const std::vector<int>& owners,
             std::vector<Variable>& parameters) {
  std::vector<Variable*> places;
  for (Variable& parameter : parameters) places.push_back(&parameter);
  GradientExchange exchange(ranks, places, owners, setting.options);
  std::vector<std::vector<PartialSum>> sums_of_ranks;
  for (int rank = 0; rank < ranks.size(); ++rank) {
    const Range parts = part_of_rank(setting.parts, rank, ranks.size());
    sums_of_ranks.push_back(partial_sums(parts.begin, parts.count()));
  }
  const Range mine = part_of_rank(setting.parts, ranks.rank(), ranks.size());
  for (int step = 0; step < 2; ++step) {
    exchange.begin(sums_of_ranks,
                   [&](size_t i) { return sums_of(i, mine, setting.options.bfloat16); });
    exchange.proceed();
    exchange.finish();
    for (size_t i = 0; i < parameters.size(); ++i) {
      if (owners[i] != ranks.rank()) continue;
      const Tensor sum = parameters[i].slot()->take();
      float* value = parameters[i].value().f32();
      for (int64_t n = 0; n < sum.elements(); ++n) value[n] -= sum.f32()[n];
    }
    exchange.share_weights();
  }
}

TEST_P(GradientExchangeOf, GivesTheBitsOfOneRank) {
  const Setting& setting = GetParam();
  std::vector<std::vector<float>> wanted;
  for (size_t i = 0; i < kShapes.size(); ++i) {
    OrderedSum sum;
    for (PartialSum& partial :
         sums_of(i, {.begin = 0, .end = setting.parts}, setting.options.bfloat16))
      sum.add(std::move(partial));
    const std::vector<float> total = sum.total().values();
    wanted.push_back(weights(i).values());
    for (size_t n = 0; n < total.size(); ++n) {
      wanted[i][n] -= total[n];
      wanted[i][n] -= total[n];
    }
  }
  run_thread_group(setting.ranks, [&](Communicator& ranks) {
    std::vector<Variable> parameters;
    for (size_t i = 0; i < kShapes.size(); ++i) parameters.push_back(Variable::leaf(weights(i)));
    descend(ranks, setting, owners(), parameters);
    for (size_t i = 0; i < kShapes.size(); ++i)
      EXPECT_EQ(parameters[i].value().values(), wanted[i]) << "rank " << ranks.rank() << ": " << i;
  });
}

std::vector<Setting> settings() {
  std::vector<Setting> all;
  // One parameter in a bucket, and several.
  for (const int64_t bytes : {1, 1 << 20})
    for (const int ranks : {1, 2, 3, 4})
      // The ranks give several sums of each gradient, or one.
      for (const int64_t parts : {11, 16})
        for (const bool bfloat16 : {false, true})
          all.push_back({ranks, parts, {.bucket_bytes = bytes, .bfloat16 = bfloat16}});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Settings, GradientExchangeOf, ::testing::ValuesIn(settings()),
                         [](const auto& info) {
                           const Setting& setting = info.param;
                           return std::to_string(setting.ranks) + "Ranks" +
                                  std::to_string(setting.parts) + "PartsBucketsOf" +
                                  std::to_string(setting.options.bucket_bytes) +
                                  (setting.options.bfloat16 ? "BFloat16" : "Float32");
                         });

}  // namespace
}  // namespace ddpm
