#include "ddpm/eval/inception.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "ddpm/base/philox.h"
#include "ddpm/io/safetensors.h"
#include "tests/support/compare.h"
#include "tests/support/errors.h"
#include "tests/support/folder.h"

namespace ddpm {
namespace {

using ddpm::test::message_of;

// Of bench/pytorch/inception.py, which makes the same random numbers.
constexpr uint64_t kSeed = 2015;

// FNV-1a
uint64_t stream_of(const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const unsigned char c : name) hash = (hash ^ c) * 0x100000001b3u;
  return hash;
}

// The numbers of Philox::uniform() at positions 0 ... count - 1, each block computed once.
std::vector<double> uniform(uint64_t stream, int64_t count) {
  std::vector<double> values;
  values.reserve(static_cast<size_t>(count) + 3);
  for (uint32_t block = 0; static_cast<int64_t>(values.size()) < count; ++block) {
    for (const uint32_t bits :
         philox4x32({block, 0, static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
                    {static_cast<uint32_t>(kSeed), 0})) {
      values.push_back((bits >> 8) * 0x1p-24);
    }
  }
  values.resize(static_cast<size_t>(count));
  return values;
}

Tensor random_tensor(const std::string& name, const Shape& shape, Layout layout) {
  const std::vector<double> numbers = uniform(stream_of(name), shape.elements());
  const bool around_one = name.ends_with("bn.weight") || name.ends_with("running_var");
  const int64_t inputs = shape.elements() / shape[0];
  const double bound = std::sqrt(6 / static_cast<double>(inputs));
  Tensor tensor(shape);
  std::transform(numbers.begin(), numbers.end(), tensor.f32(), [&](double u) {
    if (around_one) return static_cast<float>(0.5 + u);
    return static_cast<float>(shape.rank() == 4 ? (2 * u - 1) * bound : 0.4 * u - 0.2);
  });
  return from_pytorch(tensor, layout);
}

const FeatureNetwork& random_inception() {
  static const auto network = inception_features(random_tensor);
  return *network;
}

Tensor random_picture(uint64_t index, int64_t height, int64_t width, int64_t channels) {
  Tensor picture({1, height, width, channels}, DType::kUInt8);
  const std::vector<double> numbers = uniform(index, picture.elements());
  std::transform(numbers.begin(), numbers.end(), picture.u8(),
                 [](double u) { return static_cast<uint8_t>(256 * u); });
  return picture;
}

Tensor golden(const std::string& name) {
  static const SafetensorsFile file =
      SafetensorsFile::open(std::string(DDPM_SOURCE_DIR) + "/tests/peers/inception.safetensors");
  return file.read(name);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

TEST(Inception, AgreesWithPyTorch) {
  const auto error = [](const char* name, const Tensor& picture) {
    return test::relative_l2(random_inception()(picture), golden(name));
  };
  EXPECT_LE(error("features.32x40x3", random_picture(0, 32, 40, 3)), test::Tolerance::kPeerOutput);
  // A picture takes seconds with a sanitizer.
  if (kSanitized) return;
  EXPECT_LE(error("features.320x301x3", random_picture(1, 320, 301, 3)),
            test::Tolerance::kPeerOutput);
  EXPECT_LE(error("features.28x28x1", random_picture(2, 28, 28, 1)), test::Tolerance::kPeerOutput);
}

TEST(Inception, GivesAPictureTheSameFeaturesInAnyBatch) {
  if (kSanitized) GTEST_SKIP() << "ten pictures would take a minute with a sanitizer";
  // One more than pass through the network at once.
  const Tensor nine = random_picture(3, 9 * 16, 16, 3).reshape({9, 16, 16, 3});
  const Tensor all = random_inception()(nine);
  EXPECT_EQ(all.shape(), Shape({9, 2048}));
  EXPECT_EQ(random_inception()(nine.rows(7, 9)).values(), all.rows(7, 9).values());
}

TEST(Inception, HasTheHashOfItsWeightsInItsName) {
  EXPECT_EQ(random_inception().name(), "inception-v3-8666f7e3a82c");
}

TEST(Inception, SaysWhatIsWrongWithAFile) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "weights.safetensors";
  const auto refused = [&](const SafetensorsWriter& writer) {
    writer.write(path);
    return message_of([&] { inception_features(path); });
  };
  const std::string missing = refused({});
  EXPECT_NE(missing.find("lacks Conv2d_1a_3x3.conv.weight"), std::string::npos) << missing;
  EXPECT_NE(missing.find("pytorch-fid/releases"), std::string::npos) << missing;

  SafetensorsWriter misshapen;
  misshapen.add("Conv2d_1a_3x3.conv.weight", Tensor::zeros({32, 3, 3, 4}));
  EXPECT_NE(refused(misshapen).find("is [32, 3, 3, 4] instead of [32, 3, 3, 3]"),
            std::string::npos);

  SafetensorsWriter torchvision;
  torchvision.add("fc.bias", Tensor::zeros({1000}));
  EXPECT_NE(refused(torchvision).find("the weights of torchvision"), std::string::npos);
}

}  // namespace
}  // namespace ddpm
