#include "tests/support/peer_numbers.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/io/safetensors.h"

namespace ddpm::test {

PeerNumbers::PeerNumbers(const std::string& name) : name_(name) {
  const std::string path = DDPM_SOURCE_DIR "/tests/peers/" + name + ".safetensors";
  const SafetensorsFile file = SafetensorsFile::open(path);
  const std::string bytes = read_file(path);
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof(header));
  for (const SafetensorsEntry& entry : file.entries()) {
    const char* data = bytes.data() + sizeof(header) + header + static_cast<size_t>(entry.begin);
    std::vector<double>& values = values_[entry.name];
    values.resize(static_cast<size_t>((entry.end - entry.begin) / 8));
    for (double& value : values) {
      int64_t whole = 0;
      if (entry.dtype == "F64") {
        std::memcpy(&value, data, sizeof(value));
      } else if (entry.dtype == "I64") {
        std::memcpy(&whole, data, sizeof(whole));
        value = static_cast<double>(whole);
      } else {
        fail("peers", fmt::format("{} of {} is {}", entry.name, path, entry.dtype));
      }
      data += 8;
    }
  }
}

const std::vector<double>& PeerNumbers::at(const std::string& key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) fail("peers", fmt::format("{} has no tensor {}", name_, key));
  return found->second;
}

std::vector<double> PeerNumbers::images(const std::string& key, int64_t channels,
                                        int64_t side) const {
  const std::vector<double>& file = at(key);
  const int64_t pixels = side * side, image = channels * pixels;
  std::vector<double> out(file.size());
  for (int64_t i = 0; i < static_cast<int64_t>(file.size()); ++i) {
    const int64_t n = i / image, c = i % image / pixels, pixel = i % pixels;
    out[static_cast<size_t>(n * image + pixel * channels + c)] = file[static_cast<size_t>(i)];
  }
  return out;
}

double worst_relative_error(const std::vector<double>& got, const std::vector<double>& want) {
  if (got.size() != want.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double size = want[i] == 0 ? 1 : std::abs(want[i]);
    worst = std::max(worst, std::abs(got[i] - want[i]) / size);
  }
  return worst;
}

}  // namespace ddpm::test
