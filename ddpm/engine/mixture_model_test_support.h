// Writes the file of a small mixture: two Gaussians over pictures of 3 channels, 1 x 2 pixels.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <vector>

namespace ddpm::test {

struct MixtureFile {
  std::vector<double> weights = {0.25, 0.75};
  // [2, C * H * W]
  std::vector<double> means = {0.5, 0.4, 0.3, -0.2, 0.1, 0, -0.5, -0.4, 0.6, 0.2, 0.7, -0.3};
  std::vector<double> stds = {0.1, 0.05};
  std::string objective = "eps";
  // Further members of ddpm.config, each with a comma before it.
  std::string more = {};

  std::string bytes() const {
    std::string config =
        fmt::format(R"({{"channels":3,"height":1,"width":2,"schedule":"linear","timesteps":100,)"
                    R"("objective":"{}"{}}})",
                    objective, more);
    std::string quoted;
    for (const char c : config) quoted += c == '"' ? std::string("\\\"") : std::string(1, c);
    const size_t a = weights.size() * 8, b = a + means.size() * 8, c = b + stds.size() * 8;
    std::string header =
        fmt::format(R"({{"__metadata__":{{"ddpm.family":"mixture","ddpm.config":"{}"}},)"
                    R"("weights":{{"dtype":"F64","shape":[{}],"data_offsets":[0,{}]}},)"
                    R"("means":{{"dtype":"F64","shape":[{},6],"data_offsets":[{},{}]}},)"
                    R"("stds":{{"dtype":"F64","shape":[{}],"data_offsets":[{},{}]}}}})",
                    quoted, weights.size(), a, means.size() / 6, a, b, stds.size(), b, c);
    header.append((8 - header.size() % 8) % 8, ' ');
    const uint64_t length = header.size();
    std::string file(reinterpret_cast<const char*>(&length), sizeof length);
    file += header;
    for (const std::vector<double>* values : {&weights, &means, &stds})
      file.append(reinterpret_cast<const char*>(values->data()), values->size() * 8);
    return file;
  }
};

}  // namespace ddpm::test
