// Tests where the files of MNIST and similar sets are looked for, and how they are read.
#include <gtest/gtest.h>

#include <filesystem>

#include "ddpm/data/gzip_test_support.h"
#include "ddpm/data/source.h"
#include "ddpm/data/source_test_support.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using namespace test;

std::string big(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

std::string idx(uint32_t count, uint32_t height, uint32_t width) {
  std::string file = big(0x803) + big(count) + big(height) + big(width);
  for (uint32_t i = 0; i < count * height * width; ++i)
    file += static_cast<char>(i / (height * width) * 20 + 5);
  return file;
}

TEST_F(SourceTest, MnistPlainAndPacked) {
  const std::string file = idx(5, 6, 4);
  for (const char* name : {"train-images-idx3-ubyte", "train-images.idx3-ubyte"}) {
    add(name, file);
    const LoadedSource own = load_source("mnist:" + folder_.string(), {});
    EXPECT_EQ(own.dataset.images().shape(), (Shape{5, 6, 4, 1}));
    EXPECT_EQ(first_bytes(own.dataset), (std::vector<int>{5, 25, 45, 65, 85}));
    fs::remove(folder_ / name);
    add(name + ".gz"s, gzipped(file));
    EXPECT_EQ(load("mnist:").dataset.images().shape(), (Shape{5, 8, 8, 1}));
    fs::remove(folder_ / (name + ".gz"s));
  }
}

TEST_F(SourceTest, DamagedMnistIsAnError) {
  const std::string source = "mnist:" + folder_.string(), name = "train-images-idx3-ubyte";
  EXPECT_SAYS(why(source), "holds no train-images-idx3-ubyte");
  add(name, idx(5, 6, 4).substr(0, 100));
  EXPECT_SAYS(why(source), "is truncated: 5 images of 6 x 4 are 136 bytes, it has 100");
  add(name, gzipped(idx(500, 6, 4)).substr(0, 60));
  EXPECT_SAYS(why(source), "is truncated");
  // Labels.
  add(name, "\0\0\x08\x01"s + idx(5, 6, 4).substr(4));
  EXPECT_SAYS(why(source), "not an IDX file of images");
  add(name, big(0x803) + big(0xffffffff) + big(0xffffffff) + big(28) + "x");
  EXPECT_SAYS(why(source), "which is impossible");
  add(name, "\x1f\x8b garbage");
  EXPECT_SAYS(why(source), "damaged gzip");
}

TEST_F(SourceTest, TorchvisionsFoldersAreFound) {
  const std::string file = idx(3, 4, 4);
  for (const char* place : {"raw/", "MNIST/raw/", "FashionMNIST/raw/", "KMNIST/raw/"}) {
    add(place + "train-images-idx3-ubyte"s, file);
    add(place + "train-images-idx3-ubyte.gz"s, "torchvision keeps both"s);
    add(place + "train-labels-idx1-ubyte"s, "x"s);
    add(place + "t10k-images-idx3-ubyte"s, "x"s);
    EXPECT_EQ(load("mnist:").report.loaded, 3) << place;
    fs::remove_all(folder_ / place);
  }
}

TEST_F(SourceTest, OfSeveralSetsOneMustBeChosen) {
  const std::string source = "mnist:" + folder_.string();
  add("MNIST/raw/train-images-idx3-ubyte", idx(3, 4, 4));
  add("EMNIST/raw/emnist-letters-train-images-idx3-ubyte.gz", gzipped(idx(2, 4, 4)));
  add("EMNIST/raw/emnist-digits-train-images-idx3-ubyte", idx(1, 4, 4));
  const std::string letters =
      (folder_ / "EMNIST/raw/emnist-letters-train-images-idx3-ubyte.gz").string();
  EXPECT_SAYS(why(source), "holds 3 sets: ");
  EXPECT_SAYS(why(source), "choose one such as mnist:" + letters);
  EXPECT_THROW(load_source(source, {{8, 8}}), UsageError);
  EXPECT_SAYS(why(source + "/EMNIST"), "holds 2 sets: ");
  const LoadedSource chosen = load_source("mnist:" + letters, {});
  EXPECT_EQ(chosen.report.loaded, 2);
  EXPECT_EQ(chosen.dataset.fingerprint().files[0].name,
            "emnist-letters-train-images-idx3-ubyte.gz");
  // A set in the folder itself is preferred.
  add("train-images-idx3-ubyte", idx(5, 4, 4));
  EXPECT_EQ(load("mnist:").report.loaded, 5);
}

TEST_F(SourceTest, EmnistIsTurnedUpright) {
  // Two pictures, stored with 2 rows and 3 columns. Upright they have 3 rows.
  const std::string file = big(0x803) + big(2) + big(2) + big(3) + "abcdef" + "ghijkl";
  add("emnist-balanced-train-images-idx3-ubyte", file);
  const Dataset data = load_source("mnist:" + folder_.string(), {}).dataset;
  ASSERT_EQ(data.images().shape(), (Shape{2, 3, 2, 1}));
  const uint8_t* bytes = data.images().u8();
  EXPECT_EQ(std::string(bytes, bytes + 12),
            "adbecf"
            "gjhkil");
  add("other-idx3-ubyte", file);
  const Dataset other = load_source("mnist:" + (folder_ / "other-idx3-ubyte").string(), {}).dataset;
  ASSERT_EQ(other.images().shape(), (Shape{2, 2, 3, 1}));
  EXPECT_EQ(std::string(other.images().u8(), other.images().u8() + 12), "abcdefghijkl");
}

TEST_F(SourceTest, MnistMayHaveSeveralGzipMembers) {
  const std::string file = idx(5, 6, 4);
  add("train-images-idx3-ubyte.gz",
      gzipped(file.substr(0, 7)) + gzipped("") + gzipped(file.substr(7)) + std::string(100, '\0'));
  EXPECT_EQ(first_bytes(load("mnist:").dataset), (std::vector<int>{5, 25, 45, 65, 85}));
}

TEST_F(SourceTest, MnistHeadersMustFitTheirFiles) {
  const std::string source = "mnist:" + folder_.string(), name = "train-images-idx3-ubyte.gz";
  add(name, gzipped(idx(5, 6, 4) + "x"));
  EXPECT_SAYS(why(source), "holds more than its header says: 5 images of 6 x 4 are 136 bytes");
  add(name, gzipped(idx(5, 6, 4).substr(0, 100)));
  EXPECT_SAYS(why(source), "is truncated: 5 images of 6 x 4 are 136 bytes, it has 100");
  // A few bytes that claim two gigabytes.
  add(name, gzipped(big(0x803) + big(2'000'000'000) + big(1) + big(1)));
  EXPECT_SAYS(why(source), "unpack it with gunzip first");
  // A zip bomb that really holds what it claims.
  const std::string bomb =
      big(0x803) + big(4'000'000) + big(1) + big(1) + std::string(4'000'000, 'x');
  add(name, gzipped(bomb));
  EXPECT_SAYS(why(source), "4000000 images of 1 x 1, more than 256 times");
  add("plain", bomb.substr(0, 4) + big(1000) + bomb.substr(8, 1008));
  EXPECT_EQ(why("mnist:" + (folder_ / "plain").string()), "");
  std::string damaged = gzipped(idx(5, 6, 4));
  // A byte of the checksum.
  damaged[damaged.size() - 6] ^= 1;
  add(name, damaged);
  EXPECT_SAYS(why(source), "damaged gzip");
  fs::remove(folder_ / name);
  add("train-images-idx3-ubyte", idx(5, 6, 4) + "x");
  EXPECT_SAYS(why(source), "holds more than its header says");
  add("train-images-idx3-ubyte", big(0x803) + big(0xffffffff) + big(4096) + big(4096));
  EXPECT_SAYS(why(source), "is truncated");
}

TEST_F(SourceTest, MnistIsAFolderOrAFile) {
  EXPECT_SAYS(why("mnist:" + (folder_ / "absent").string()), "no such folder");
  fs::create_directory(folder_ / "train-images-idx3-ubyte");
  EXPECT_SAYS(why("mnist:" + folder_.string()), "Is a directory");
}

}  // namespace
}  // namespace ddpm
