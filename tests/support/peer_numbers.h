// Reads the golden numbers of tests/peers in float64; its README.md tells where they are from.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ddpm::test {

class PeerNumbers {
 public:
  // tests/peers/NAME.safetensors. Throws Error where there is no such file.
  explicit PeerNumbers(const std::string& name);

  // In the order of the file. Throws Error naming the key where it is absent.
  const std::vector<double>& at(const std::string& key) const;
  // Images [N, C, H, W] of the file with C channels and H = W, as [N, H, W, C].
  std::vector<double> images(const std::string& key, int64_t channels, int64_t side) const;

 private:
  std::string name_;
  std::map<std::string, std::vector<double>> values_;
};

// The largest |got - want| / |want| over all elements; |got| where `want` is 0. Infinity where the
// counts differ.
double worst_relative_error(const std::vector<double>& got, const std::vector<double>& want);

}  // namespace ddpm::test
