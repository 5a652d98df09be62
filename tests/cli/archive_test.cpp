// Archives of pictures, wherever the program takes a folder of them.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <numeric>

#include "ddpm/base/file.h"
#include "ddpm/base/json.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr size_t kBlock = 512;

// One file in the POSIX ustar format: a block of its name and size, then the contents in blocks.
std::string tar_member(const std::string& name, const std::string& contents) {
  std::string head(kBlock, '\0');
  const auto put = [&](size_t at, const std::string& text) { head.replace(at, text.size(), text); };
  put(0, name);
  put(100, "0000644");
  put(124, fmt::format("{:011o}", contents.size()));
  put(136, "00000000000");
  put(148, std::string(8, ' '));
  put(156, "0");
  put(257, std::string("ustar\00000", 8));
  int sum = 0;
  for (const char byte : head) sum += static_cast<uint8_t>(byte);
  put(148, fmt::format("{:06o}", sum) + std::string(1, '\0'));
  return head + contents + std::string((kBlock - contents.size() % kBlock) % kBlock, '\0');
}

class Archives : public ::testing::Test {
 protected:
  void SetUp() override {
    make_pictures(pictures_, 6);
    std::string tar;
    for (const std::string& name : names_in(pictures_))
      tar += tar_member("deep/" + name, read_file(pictures_ + "/" + name));
    write_file_atomic(tar_, tar + std::string(2 * kBlock, '\0'));
  }

  JsonObject figures(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "eval");
    arguments.insert(arguments.end(), {"--cache", "none", "--json"});
    const Outcome outcome = run_ddpm(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return JsonObject::parse(outcome.out, "the output");
  }

  TemporaryFolder folder_;
  const std::string pictures_ = folder_ / "pictures", tar_ = folder_ / "pictures.tar",
                    model_ = folder_ / "model.safetensors";
};

TEST_F(Archives, AreComparedLikeFolders) {
  const JsonObject of_folder = figures({pictures_, "--data", pictures_});
  for (const JsonObject& got :
       {figures({tar_, "--data", pictures_}), figures({pictures_, "--data", tar_})}) {
    EXPECT_EQ(*got.find("n"), "6");
    EXPECT_EQ(*got.find("frechet"), *of_folder.find("frechet"));
  }
  make_model(model_);
  const std::vector<std::string> drawn = {model_, "--n", "4", "--steps", "1", "--data"};
  std::vector<std::string> with_folder = drawn, with_tar = drawn;
  with_folder.push_back(pictures_);
  with_tar.push_back(tar_);
  EXPECT_EQ(*figures(with_tar).find("frechet"), *figures(with_folder).find("frechet"));
}

TEST_F(Archives, ArePicturesToDrawFrom) {
  make_model(model_, 3, "grey");
  const auto draw = [&](const std::string& input, const std::string& to) {
    return run_ddpm({"sample", model_, "--input", input, "--size", "8", "--steps", "1", "--out",
                     folder_ / (to + ".png"), "--each", folder_ / to});
  };
  const Outcome of_folder = draw(pictures_, "a"), of_tar = draw(tar_, "b");
  ASSERT_EQ(of_folder.status, 0) << of_folder.err;
  ASSERT_EQ(of_tar.status, 0) << of_tar.err;
  EXPECT_THAT(names_in(folder_ / "b"), ElementsAre("deep"));
  EXPECT_EQ(names_in(folder_ / "b/deep"), names_in(folder_ / "a"));
  EXPECT_EQ(read_file(folder_ / "b.png"), read_file(folder_ / "a.png"));
}

TEST_F(Archives, ShowTheirPicturesInAllFits) {
  for (const char* fit : {"cover", "contain", "pad"}) {
    std::vector<std::string> grids;
    for (const std::string& source : {pictures_, tar_}) {
      const std::string grid = folder_ / "grid.png";
      const Outcome outcome =
          run_ddpm({"data", source, "--size", "8x16", "--fit", fit, "--out", grid});
      ASSERT_EQ(outcome.status, 0) << outcome.err;
      grids.push_back(read_file(grid));
    }
    EXPECT_EQ(grids[0], grids[1]) << fit;
  }
}

TEST_F(Archives, TheFitOfTwoSetsIsChosenAndThatOfAModelIsKnown) {
  make_pictures(folder_ / "others", 3);
  const auto distance = [&](const std::string& real, const std::string& fit) {
    return *figures({folder_ / "others", "--data", real, "--size", "8x16", "--fit", fit})
                .find("frechet");
  };
  EXPECT_EQ(distance(tar_, "pad"), distance(pictures_, "pad"));
  EXPECT_NE(distance(tar_, "pad"), distance(tar_, "cover"));
  expect_refused({"eval", pictures_, "--data", tar_, "--fit", "squeeze"}, 2, "squeeze");
  make_model(model_);
  expect_refused({"eval", model_, "--data", tar_, "--fit", "pad"}, 2,
                 "--fit is for two sets of pictures");
}

TEST_F(Archives, ThatAreDamagedAreNamed) {
  write_file_atomic(folder_ / "no.zip", std::string("PK\x03\x04 and no more"));
  const Outcome outcome =
      run_ddpm({"data", folder_ / "no.zip", "--size", "8", "--out", folder_ / "grid.png"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("no.zip is neither a .zip nor a .tar archive"));
}

}  // namespace
}  // namespace ddpm::test
