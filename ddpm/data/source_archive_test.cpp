// Tests pictures in archives: that they are those of a folder, and what hostile archives do.
#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <locale.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <thread>

#include "ddpm/base/hash.h"
#include "ddpm/data/gzip_test_support.h"
#include "ddpm/data/input_pictures.h"
#include "ddpm/data/picture_files.h"
#include "ddpm/data/source_pairs.h"
#include "ddpm/data/source_test_support.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using namespace test;

struct Member {
  std::string name, contents;
  // AE_IFLNK and the like.
  unsigned type = AE_IFREG;
};

struct Format {
  const char* ending;
  std::function<void(struct archive*)> set;
};

const Format kFormats[] = {
    {".tar", [](struct archive* to) { archive_write_set_format_gnutar(to); }},
    {".pax.tar", [](struct archive* to) { archive_write_set_format_pax(to); }},
    {".tar.gz",
     [](struct archive* to) {
       archive_write_set_format_pax(to);
       archive_write_add_filter_gzip(to);
     }},
    {".zip", [](struct archive* to) { archive_write_set_format_zip(to); }},
    {".stored.zip",
     [](struct archive* to) {
       archive_write_set_format_zip(to);
       archive_write_zip_set_compression_store(to);
     }},
};

class ArchiveTest : public SourceTest {
 protected:
  std::string write(const Format& format, const std::vector<Member>& members) const {
    const std::string path = (folder_ / ("x"s + format.ending)).string();
    // libarchive takes names to be in the encoding of the locale.
    const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr), before = uselocale(utf8);
    struct archive* to = archive_write_new();
    format.set(to);
    EXPECT_EQ(archive_write_open_filename(to, path.c_str()), ARCHIVE_OK);
    for (const Member& member : members) {
      archive_entry* entry = archive_entry_new();
      archive_entry_set_pathname(entry, member.name.c_str());
      archive_entry_set_filetype(entry, member.type);
      archive_entry_set_perm(entry, 0600);
      if (member.type == AE_IFLNK)
        archive_entry_set_symlink(entry, member.contents.c_str());
      else
        archive_entry_set_size(entry, static_cast<la_int64_t>(member.contents.size()));
      EXPECT_EQ(archive_write_header(to, entry), ARCHIVE_OK) << archive_error_string(to);
      if (member.type == AE_IFREG)
        archive_write_data(to, member.contents.data(), member.contents.size());
      archive_entry_free(entry);
    }
    EXPECT_EQ(archive_write_close(to), ARCHIVE_OK);
    archive_write_free(to);
    uselocale(before);
    freelocale(utf8);
    return path;
  }

  static SourceOptions options(const char* stream = "off", bool classes = false) {
    return {.size = {8, 8}, .classes = classes, .stream = stream};
  }
  static std::string reason(const LoadReport& report, const std::string& path) {
    for (const SkippedFile& file : report.skipped)
      if (file.path == path) return file.reason;
    return "nothing about " + path;
  }
  static std::string bits(const Pictures& pictures) {
    BatchPlan plan;
    for (int64_t i = 0; i < pictures.size(); ++i) plan.indices.push_back(i);
    const Tensor all = to_bytes(pictures.batch(plan).images);
    return hash_hex({reinterpret_cast<const char*>(all.u8()), static_cast<size_t>(all.bytes())});
  }
  static std::string png(int shade) { return encode_png(flat(9, 9, {shade, shade / 2, 7})); }
};

std::vector<Member> some_members(const std::function<std::string(int)>& png) {
  std::vector<Member> members = {{"dogs/5.png", png(50)}, {"./cats/1.png", png(10)}};
  members.push_back({"cats/", "", AE_IFDIR});
  members.push_back({"readme.txt", "a text"});
  members.push_back({"inner.zip", "PK\3\4 not looked into"});
  members.push_back({"cats/3", png(30)});
  members.push_back({"cats/.hidden.png", png(1)});
  members.push_back({"caf\xc3\xa9/2.png", png(20)});
  members.push_back({"cats/damaged.png", png(3).substr(0, 50)});
  return members;
}

TEST_F(ArchiveTest, ItsPicturesAreThoseOfAFolder) {
  const std::vector<Member> members = some_members(png);
  for (const Member& member : members)
    if (member.type == AE_IFREG) add("unpacked/" + member.name, member.contents);
  const std::string folder = (folder_ / "unpacked").string();
  const LoadedPictures expected = open_source(folder, options("off", true));
  ASSERT_EQ(expected.pictures->size(), 4);
  for (const Format& format : kFormats) {
    const std::string path = write(format, members);
    for (const char* stream : {"off", "on"}) {
      const LoadedPictures opened = open_source(path, options(stream, true));
      EXPECT_EQ(bits(*opened.pictures), bits(*expected.pictures)) << path;
      EXPECT_EQ(opened.pictures->fingerprint().hash(), expected.pictures->fingerprint().hash());
      EXPECT_EQ(opened.pictures->labels(), expected.pictures->labels());
      EXPECT_EQ(opened.pictures->class_names(), expected.pictures->class_names());
      EXPECT_EQ(opened.report.note, expected.report.note);
      ASSERT_EQ(opened.report.skipped.size(), 1u);
      EXPECT_EQ(reason(opened.report, path + "/cats/damaged.png"),
                reason(expected.report, folder + "/cats/damaged.png"));
      SourceOptions again = options(stream, true);
      again.stream = "on";
      again.index = &opened.index;
      int64_t read = 0;
      const LoadedPictures second = open_source(path, again, [&](int64_t, int64_t) { ++read; });
      EXPECT_EQ(read, 0);
      EXPECT_EQ(bits(*second.pictures), bits(*expected.pictures));
    }
  }
}

TEST_F(ArchiveTest, LabelsMayComeFromATable) {
  const std::string path = write(kFormats[0], {{"a/1.png", png(1)}, {"2.png", png(2)}});
  add("labels.csv", "a/1.png,x\n2.png,y\n"s);
  SourceOptions table = options();
  table.labels = (folder_ / "labels.csv").string();
  EXPECT_EQ(open_source(path, table).pictures->class_names(), (std::vector<std::string>{"x", "y"}));
}

TEST_F(ArchiveTest, NamesAndLinksThatLeadElsewhereAreLeftOut) {
  for (const Format& format : kFormats) {
    const std::string path = write(format, {{"a.png", png(1)},
                                            {"../b.png", png(2)},
                                            {"c/../../d.png", png(3)},
                                            {"e.png", "/etc/passwd", AE_IFLNK}});
    const LoadedPictures opened = open_source(path, options());
    EXPECT_EQ(opened.pictures->size(), 1) << path;
    EXPECT_EQ(reason(opened.report, path + "/c/../../d.png"), "its name leads out of the archive");
    EXPECT_EQ(reason(opened.report, path + "/e.png"), "it is a link");
  }
  // A name that begins with '/' would be taken for the entry of classes.
  const std::string path = write(kFormats[0], {{"a.png", png(1)}, {"/labels.png", png(2)}});
  EXPECT_EQ(open_source(path, options()).pictures->size(), 1);
}

TEST_F(ArchiveTest, EmptyPartsOfNamesDoNotCount) {
  for (const Format& format : kFormats) {
    const std::string path =
        write(format, {{"a//b.png", png(1)}, {".//./a/./c.png", png(2)}, {"a/.d/e.png", png(3)}});
    const LoadedPictures opened = open_source(path, options("on", true));
    EXPECT_EQ(opened.report.skipped.size(), 0u) << path;
    ASSERT_EQ(opened.index.pictures.size(), 2u);
    EXPECT_EQ(opened.index.pictures[0].file.name, "a/b.png");
    EXPECT_EQ(opened.index.pictures[1].file.name, "a/c.png");
    EXPECT_EQ(opened.pictures->class_names(), (std::vector<std::string>{"a"}));
  }
}

TEST_F(ArchiveTest, TheLastFileOfANameCounts) {
  const std::string path = write(kFormats[0], {{"a.png", png(1)}, {"a.png", png(200)}});
  const std::string other = bits(*open_source(path, options()).pictures);
  const LoadedPictures opened = open_source(path, options());
  EXPECT_EQ(opened.pictures->size(), 1);
  EXPECT_EQ(reason(opened.report, path + "/a.png"),
            "a later file of the archive has the same name");
  add("last/a.png", png(200));
  EXPECT_EQ(other, bits(*open_source((folder_ / "last").string(), options()).pictures));
}

TEST_F(ArchiveTest, DamagedArchivesGiveTheirSoundPictures) {
  std::vector<Member> members;
  for (int i = 0; i < 6; ++i)
    members.push_back({std::to_string(i) + ".png", png(40 * i) + std::string(3000, 'x')});
  for (const Format& format : kFormats) {
    const std::string path = write(format, members);
    const std::string whole = read_file(path);
    for (size_t cut = 1; cut < whole.size(); cut += whole.size() / 37 + 1) {
      write_file_atomic(path, whole.substr(0, cut), {.sync = false});
      const std::string error = message_of([&] {
        const LoadedPictures opened = open_source(path, options());
        EXPECT_TRUE(opened.pictures->size() == 6 || !opened.report.skipped.empty()) << path << cut;
      });
      EXPECT_TRUE(error.empty() || error.find(path) != std::string::npos) << error;
    }
    // Bytes that are changed.
    for (size_t at = 0; at < whole.size(); at += whole.size() / 61 + 1) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
      write_file_atomic(path, damaged, {.sync = false});
      message_of([&] { open_source(path, options()); });
    }
  }
}

TEST_F(ArchiveTest, DamagedHeadersEndTheListAndAreSaid) {
  const std::string path =
      write(kFormats[0], {{"a.png", png(1)}, {"b.png", png(2)}, {"c.png", png(3)}});
  const std::string whole = read_file(path);
  const size_t header = whole.find("b.png");
  std::string other_name = whole, zeros = whole;
  other_name[header] = 'x';
  zeros.replace(header, 512, 512, '\0');
  for (const std::string& damaged : {other_name, zeros, gzipped(other_name), gzipped(zeros)}) {
    write_file_atomic(path, damaged);
    const LoadedPictures opened = open_source(path, options());
    EXPECT_EQ(opened.pictures->size(), 1);
    EXPECT_SAYS(reason(opened.report, path), "damaged; files may be missing from here on");
    EXPECT_SAYS(message_of([&] { InputPictures{path}; }), path + ": it is damaged");
  }
  for (const std::string& sound : {whole, gzipped(whole)}) {
    write_file_atomic(path, sound);
    EXPECT_EQ(InputPictures(path).size(), 3);
  }
}

TEST_F(ArchiveTest, JoinedArchivesAreReadToTheEnd) {
  const std::string first = read_file(write(kFormats[0], {{"a.png", png(1)}})),
                    second = read_file(write(kFormats[0], {{"b.png", png(2)}})),
                    path = (folder_ / "joined.tar").string();
  for (const std::string& joined : {first + second, gzipped(first) + gzipped(second)}) {
    write_file_atomic(path, joined);
    const LoadedPictures opened = open_source(path, options());
    EXPECT_EQ(opened.pictures->size(), 2);
    EXPECT_EQ(opened.report.skipped.size(), 0u);
  }
}

TEST_F(ArchiveTest, SizesAreNotBelieved) {
  const std::string path = write(kFormats[0], {{"a.png", png(1)}, {"b.png", png(2)}});
  std::string tar = read_file(path);
  // The size of the second file, in octal digits: 8 GB.
  const size_t header = tar.find("b.png");
  tar.replace(header + 124, 11, "77777777777");
  // The checksum, taken with spaces in its place.
  int sum = 0;
  tar.replace(header + 148, 8, "        ");
  for (size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(tar[header + i]);
  for (size_t digit = 6; digit-- > 0; sum /= 8)
    tar[header + 148 + digit] = static_cast<char>('0' + sum % 8);
  tar[header + 154] = '\0';
  write_file_atomic(path, tar);
  const LoadedPictures opened = open_source(path, options());
  EXPECT_EQ(opened.pictures->size(), 1);
  EXPECT_SAYS(reason(opened.report, path + "/b.png"), "cut short or damaged");
}

// Large pictures are not held by two threads at once, and only if there is memory for them.
TEST_F(ArchiveTest, LargePicturesTakeTurns) {
  const auto turn = [](int64_t bytes) {
    return turn_of_picture("x.zip/a.png", "a.png", bytes, [] { return png(1); });
  };
  EXPECT_FALSE(turn(kLargePicture - 1).owns_lock());
  std::atomic<int> holding = 0, most = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const auto alone = turn(kLargePicture);
      EXPECT_TRUE(alone.owns_lock());
      most = std::max<int>(most, ++holding);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      --holding;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(most, 1);
  EXPECT_SAYS(
      message_of([] { turn_of_picture("x", "a.png", kLargePicture, [] { return "text"s; }); }),
      "not");
}

TEST_F(ArchiveTest, LargePicturesOfAnArchiveAreReadWhole) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "decoding 64 MB takes minutes with a sanitizer";
#endif
  const std::string large = png(9) + std::string(kLargePicture, '\0');
  std::string text = large;
  text[0] = 'x';
  const std::string path = write(kFormats[3], {{"a.png", large}, {"c.png", text}});
  const LoadedPictures opened = open_source(path, options());
  EXPECT_EQ(opened.pictures->size(), 1);
  EXPECT_EQ(opened.index.pictures[0].file.hash, hash_hex(large));
  EXPECT_SAYS(reason(opened.report, path + "/c.png"), "not");
}

TEST_F(ArchiveTest, ImpossibleSizesTakeNoMemory) {
  const std::string path =
      write(kFormats[3], {{"a.png", png(1)}, {"b.png", png(2) + std::string(1 << 20, 'x')}});
  std::string zip = read_file(path);
  // The size of the second file, before it and in the list at the end: 2 GB - 1.
  zip.replace(zip.rfind("PK\3\4"s) + 22, 4, "\xff\xff\xff\x7f");
  zip.replace(zip.rfind("PK\1\2"s) + 24, 4, "\xff\xff\xff\x7f");
  write_file_atomic(path, zip);
  const LoadedPictures opened = open_source(path, options());
  EXPECT_EQ(opened.pictures->size(), 1);
  EXPECT_SAYS(reason(opened.report, path + "/b.png"), "cut short or damaged");
}

TEST_F(ArchiveTest, OtherFilesAreRefused) {
  add("text.zip", "not an archive"s);
  EXPECT_SAYS(why(folder_ / "text.zip"), "is neither a .zip nor a .tar archive");
  add("single.png", png(1));
  EXPECT_SAYS(why(folder_ / "single.png"), "single.png is a single picture; give its folder");
  const std::string path = write(kFormats[3], {{"a.txt", "x"}});
  EXPECT_SAYS(why(path), "holds no pictures");
  EXPECT_SAYS(why(path), "1 file that is not a picture (1 .txt)");
  EXPECT_FALSE(is_folder_source(path));
  EXPECT_TRUE(is_archive_source(path));
  EXPECT_EQ(absolute_source(path), path);
}

TEST_F(ArchiveTest, NoProgramIsRunToDecompress) {
  // The first bytes of three formats that libarchive would hand to a program of that name.
  const std::pair<const char*, std::string> kStarts[] = {
      {"lrzip", "LRZI\0\6"s},
      {"grzip", "GRZipII\0\2\4:)"s},
      {"lzop", "\x89LZO\0\r\n\x1a\n"s},
  };
  const std::string before = getenv("PATH"), ran = (folder_ / "ran").string();
  for (const auto& [program, start] : kStarts) {
    add("bin/"s + program, "#!/bin/sh\n: >'" + ran + "'\n");
    fs::permissions(folder_ / "bin" / program, fs::perms::owner_all);
    for (const char* ending : {".zip", ".tar"})
      add(program + std::string(ending), start + std::string(4000, '\0'));
  }
  setenv("PATH", ((folder_ / "bin").string() + ":" + before).c_str(), 1);
  for (const auto& [program, start] : kStarts)
    for (const char* ending : {".zip", ".tar"})
      EXPECT_SAYS(why(folder_ / (program + std::string(ending))), "is neither a .zip nor a .tar");
  setenv("PATH", before.c_str(), 1);
  EXPECT_FALSE(fs::exists(ran));
}

TEST_F(ArchiveTest, EncryptedFilesAreSaid) {
  struct archive* to = archive_write_new();
  archive_write_set_format_zip(to);
  if (archive_write_set_options(to, "zip:encryption=traditional") != ARCHIVE_OK)
    GTEST_SKIP() << "libarchive was built without encryption";
  archive_write_set_passphrase(to, "x");
  const std::string path = (folder_ / "secret.zip").string(), contents = png(1);
  ASSERT_EQ(archive_write_open_filename(to, path.c_str()), ARCHIVE_OK);
  archive_entry* entry = archive_entry_new();
  archive_entry_set_pathname(entry, "a.png");
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_size(entry, static_cast<la_int64_t>(contents.size()));
  ASSERT_EQ(archive_write_header(to, entry), ARCHIVE_OK);
  archive_write_data(to, contents.data(), contents.size());
  archive_entry_free(entry);
  archive_write_close(to);
  archive_write_free(to);
  EXPECT_SAYS(why(path), "it is encrypted");
}

}  // namespace
}  // namespace ddpm
