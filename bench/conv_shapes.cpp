#include "bench/conv_shapes.h"

#include <fmt/core.h>

#include <fstream>
#include <regex>

#include "ddpm/base/error.h"

namespace ddpm::bench {

using cpu::ConvShape;

std::string name_of(const ConvShape& s) {
  return fmt::format("{}x{} {}->{} on {}x{}x{}{}", s.kernel_height, s.kernel_width, s.channels,
                     s.outputs, s.batch, s.height, s.width,
                     s.stride > 1 ? fmt::format(" /{}", s.stride) : "");
}

std::vector<ConvShape> read_shapes(const std::vector<std::string>& files) {
  static const std::regex kShape(
      R"(\s*(\d+)x(\d+) (\d+)->(\d+) on (\d+)x(\d+)x(\d+)(?: /(\d+))?\s*)");
  std::vector<ConvShape> shapes;
  for (const std::string& file : files) {
    std::ifstream in(file);
    if (!in) fail("read_shapes", fmt::format("cannot read {}", file));
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
      line.erase(std::min(line.find('#'), line.size()));
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      std::smatch match;
      if (!std::regex_match(line, match, kShape)) {
        fail("read_shapes", fmt::format("{} line {}: '{}' is no shape; one is '3x3 64->64 on "
                                        "8x32x32' or, with a stride, '3x3 64->64 on 8x32x32 /2'",
                                        file, number, line));
      }
      const auto value = [&](int group) { return int64_t{std::stoi(match[group])}; };
      shapes.push_back({.batch = value(5),
                        .height = value(6),
                        .width = value(7),
                        .channels = value(3),
                        .kernel_height = value(1),
                        .kernel_width = value(2),
                        .outputs = value(4),
                        .stride = match[8].matched ? value(8) : 1,
                        .padding = value(1) / 2});
    }
  }
  return shapes;
}

}  // namespace ddpm::bench
