#include "ddpm/data/gzip.h"

#include "ddpm/base/error.h"
#include "ddpm/data/gzip_test_support.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

using test::gzipped;

std::string why(const std::string& file, size_t most = 1000) {
  return test::message_of([&] { gunzip(file, most, "f.gz"); });
}

TEST(GzipTest, MembersFollowEachOther) {
  const Unpacked unpacked = gunzip(gzipped("one ") + gzipped("") + gzipped("two"), 1000, "f.gz");
  EXPECT_EQ(unpacked.bytes, "one two");
  EXPECT_FALSE(unpacked.more);
}

TEST(GzipTest, BytesBehindTheLastMemberAreIgnored) {
  EXPECT_EQ(gunzip(gzipped("one") + std::string(512, '\0'), 1000, "f.gz").bytes, "one");
  EXPECT_EQ(gunzip(gzipped("one") + "garbage", 1000, "f.gz").bytes, "one");
}

TEST(GzipTest, NoMoreIsUnpackedThanAsked) {
  const std::string file = gzipped(std::string(50, 'a')) + gzipped(std::string(50, 'b'));
  for (const size_t most : {0, 49, 50, 51, 99}) {
    const Unpacked unpacked = gunzip(file, most, "f.gz");
    EXPECT_EQ(unpacked.bytes.size(), most);
    EXPECT_TRUE(unpacked.more);
  }
  EXPECT_FALSE(gunzip(file, 100, "f.gz").more);
}

TEST(GzipTest, ManySmallMembersTakeNoLongerThanTheirBytes) {
  const std::string member = gzipped("x");
  std::string file;
  for (int i = 0; i < 20000; ++i) file += member;
  EXPECT_EQ(gunzip(file, 1 << 20, "f.gz").bytes, std::string(20000, 'x'));
}

TEST(GzipTest, DamageIsAnError) {
  const std::string good = gzipped("some text, some more text");
  EXPECT_NE(why(good.substr(0, good.size() - 1)).find("f.gz is truncated"), std::string::npos);
  EXPECT_NE(why(good + good.substr(0, 12)).find("f.gz is truncated"), std::string::npos);
  std::string bad = good;
  // The checksum.
  bad[good.size() - 8] ^= 1;
  EXPECT_NE(why(bad).find("f.gz is a damaged gzip file: incorrect data check"), std::string::npos);
  bad = good;
  // The length.
  bad[good.size() - 4] ^= 1;
  EXPECT_NE(why(bad).find("incorrect length check"), std::string::npos);
  EXPECT_NE(why("plain").find("damaged"), std::string::npos);
}

}  // namespace
}  // namespace ddpm
