// Checksums that tell whether data changed, by accident or by edit: XXH3 of 128 bits. They are no
// protection against somebody who wants two files with one checksum.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace ddpm {

// Data in pieces; hex() tells the checksum of all pieces so far.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void update(const void* data, size_t bytes);
  void update(std::string_view text) { update(text.data(), text.size()); }
  // 32 hexadecimal digits.
  std::string hex() const;

  static constexpr size_t kDigits = 32;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Hasher in one call.
std::string hash_hex(std::string_view bytes);

}  // namespace ddpm
