// Files that cannot be read: if the file is at fault, it is reported; otherwise loading stops.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>

#include "ddpm/base/threads.h"
#include "ddpm/data/source.h"
#include "ddpm/data/source_test_support.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using namespace test;

// Root may read everything, so tests of permissions run as another user.
class AsNobody {
 public:
  AsNobody() : root_(geteuid() == 0) {
    if (root_ && seteuid(65534) != 0) ADD_FAILURE() << "cannot give up the rights of root";
  }
  ~AsNobody() {
    if (root_ && seteuid(0) != 0) ADD_FAILURE() << "cannot get the rights of root back";
  }

 private:
  bool root_;
};

// While it exists, no further file can be opened.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit none{0, before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

std::vector<std::string> lines(const LoadReport& report, const fs::path& folder) {
  std::vector<std::string> lines;
  for (const SkippedFile& file : report.skipped)
    lines.push_back(fs::path(file.path).lexically_relative(folder).string() + ": " + file.reason);
  return lines;
}

TEST_F(SourceTest, WhatMayNotBeReadIsNamed) {
  add("a.png", flat(8, 8, {1}));
  add("closed.png", flat(8, 8, {2}));
  add("hidden/sub/b.png", flat(8, 8, {3}));
  add("listed/sub/b.png", flat(8, 8, {3}));
  add("listed/notes", "x"s);
  chmod((folder_ / "closed.png").c_str(), 0);
  chmod((folder_ / "hidden").c_str(), 0);
  chmod((folder_ / "listed").c_str(), 0744);
  LoadReport report;
  {
    const AsNobody nobody;
    report = load().report;
  }
  for (const char* name : {"hidden", "listed"}) chmod((folder_ / name).c_str(), 0755);
  EXPECT_EQ(report.loaded, 1);
  const std::string denied = ": cannot be read: Permission denied";
  EXPECT_EQ(lines(report, folder_),
            (std::vector<std::string>{"closed.png" + denied, "hidden" + denied,
                                      "listed/notes" + denied, "listed/sub" + denied}));
}

TEST_F(SourceTest, LinksThatLeadNowhereAreNamed) {
  add("a.png", flat(8, 8, {1}));
  fs::create_symlink("gone", folder_ / "folder");
  fs::create_symlink("loop.png", folder_ / "loop.png");
  const LoadReport report = load().report;
  EXPECT_EQ(
      lines(report, folder_),
      (std::vector<std::string>{"folder: cannot be read: No such file or directory",
                                "loop.png: cannot be read: Too many levels of symbolic links"}));
}

TEST_F(SourceTest, PathsThatAreTooLongAreNamed) {
  add("a.png", flat(8, 8, {1}));
  // The path is longer than the system allows, so it is made folder by folder.
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  const std::string name(250, 'd');
  for (int depth = 0; depth < 17; ++depth) {
    fs::create_directory(name);
    fs::current_path(name);
  }
  fs::current_path(before);
  const LoadReport report = load().report;
  EXPECT_EQ(report.loaded, 1);
  ASSERT_EQ(report.skipped.size(), 1u);
  EXPECT_EQ(report.skipped[0].reason, "cannot be read: File name too long");
  EXPECT_TRUE(report.skipped[0].path.ends_with("/" + name));
}

TEST_F(SourceTest, AFailureOfTheSystemEndsTheLoading) {
  add("a.png", flat(8, 8, {1}));
  add("b.png", flat(8, 8, {2}));
  const int threads = num_threads();
  set_num_threads(1);
  // Loads libvips.
  load();
  const auto code_of = [](const auto& work) {
    try {
      work();
    } catch (const SystemError& error) {
      return error.code();
    }
    return 0;
  };
  EXPECT_EQ(code_of([&] {
              const NoDescriptors none;
              load();
            }),
            EMFILE);  // listing
  EXPECT_EQ(code_of([&] {
              std::optional<NoDescriptors> none;
              load_source(folder_, {{8, 8}}, [&](int64_t done, int64_t) {
                if (done == 1) none.emplace();
              });
            }),
            EMFILE);  // reading the second picture
  for (const char* kind : {"mnist:", "cifar10:"}) {
    EXPECT_EQ(code_of([&] {
                add("train-images-idx3-ubyte", "x"s);
                add("data_batch_1.bin", "x"s);
                const NoDescriptors none;
                load(kind);
              }),
              EMFILE)
        << kind;
  }
  set_num_threads(threads);
}

}  // namespace
}  // namespace ddpm
