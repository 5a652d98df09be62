#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ddpm/base/file.h"
#include "ddpm/data/image.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Data, ShowsWhatTheNetworkWillSee) {
  const TemporaryFolder folder;
  make_pictures(folder / "pictures", 5);
  write_file_atomic(folder / "pictures/broken.jpg", "\xff\xd8\xff and no more");
  const Outcome outcome = run_ddpm({"data", folder / "pictures", "--size", "6x8", "--n", "4",
                                    "--scale", "1", "--out", folder / "grid.png"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(probe_image(read_file(folder / "grid.png")).size, (ImageSize{2 * 8 + 2, 2 * 10 + 2}));
  EXPECT_THAT(outcome.out, HasSubstr("5 pictures of 6x8 with 3 channels"));
  EXPECT_THAT(outcome.out, HasSubstr("skipped 1 file:\n"));
  EXPECT_THAT(outcome.out, HasSubstr("broken.jpg: "));
}

TEST(Data, WritesEachPictureByItself) {
  const TemporaryFolder folder;
  make_pictures(folder / "pictures", 5);
  const Outcome outcome = run_ddpm({"data", folder / "pictures", "--size", "6x8", "--n", "4",
                                    "--out", folder / "grid.png", "--each", folder / "each"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(names_in(folder / "each").size(), 4u);
  EXPECT_EQ(probe_image(read_file(folder / "each/00003.png")).size, (ImageSize{6, 8}));
  for (const char* among : {"pictures", "pictures/inside"}) {
    const Outcome refused = run_ddpm({"data", folder / "pictures", "--size", "6x8", "--out",
                                      folder / "grid.png", "--each", folder / among});
    EXPECT_EQ(refused.status, 2);
    EXPECT_THAT(refused.err, HasSubstr("lies among the pictures"));
  }
}

TEST(Data, WarnsOfAGridAmongThePictures) {
  const TemporaryFolder folder;
  make_pictures(folder / "pictures/below", 1);
  const auto says = [&](const std::string& out) {
    return run_ddpm({"data", folder / "pictures", "--size", "8", "--out", out}).err;
  };
  EXPECT_THAT(says(folder / "pictures/grid.png"), HasSubstr("lies among the pictures"));
  EXPECT_THAT(says(folder / "pictures/below/grid.png"), HasSubstr("lies among the pictures"));
  EXPECT_THAT(says(folder / "pictures.png"), Not(HasSubstr("lies among the pictures")));
}

TEST(Data, RefusesWhatIsNotThere) {
  const TemporaryFolder folder;
  const Outcome outcome = run_ddpm({"data", folder / "absent", "--out", folder / "grid.png"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("no such folder"));
  EXPECT_EQ(run_ddpm({"data", folder.path(), "--n", "0", "--out", folder / "grid.png"}).status, 2);
}

}  // namespace
}  // namespace ddpm::test
