// Shared by the tests of sources: a folder with files, and functions to load it.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/data/image.h"
#include "ddpm/data/source.h"
#include "tests/support/errors.h"
#include "tests/support/folder.h"

namespace ddpm::test {

inline Tensor flat(int64_t height, int64_t width, const std::vector<int>& pixel) {
  Tensor image({height, width, static_cast<int64_t>(pixel.size())}, DType::kUInt8);
  for (int64_t i = 0; i < image.elements(); ++i)
    image.u8()[i] = static_cast<uint8_t>(pixel[i % pixel.size()]);
  return image;
}

class SourceTest : public testing::Test {
 protected:
  void add(const std::string& name, const std::string& contents) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << contents;
  }
  void add(const std::string& name, const Tensor& image) const { add(name, encode_png(image)); }
  LoadedSource load(const std::string& prefix = "", const std::string& channels = "auto",
                    const std::string& background = "white") const {
    return load_source(prefix + folder_.string(), {{8, 8}, channels, background});
  }
  // The text of the error. Empty if there is none.
  std::string why(const std::string& source) const {
    return message_of([&] { load_source(source, {{8, 8}, "auto", "white"}); });
  }

  const TemporaryFolder temporary_;
  const std::filesystem::path folder_ = temporary_.path();
};

#define EXPECT_SAYS(text, piece) EXPECT_NE((text).find(piece), std::string::npos) << (text)

inline std::vector<int> first_bytes(const Dataset& data) {
  std::vector<int> bytes;
  for (int64_t i = 0; i < data.size(); ++i)
    bytes.push_back(data.images().u8()[i * data.images().elements() / data.size()]);
  return bytes;
}

}  // namespace ddpm::test
