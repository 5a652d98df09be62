// Checksums that show whether data changed: XXH3 with 128 bits. They find damage and edits. They do
// not protect against someone who creates two files with the same checksum on purpose.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace ddpm {

// Takes data in pieces. hex() returns the checksum of all pieces so far.
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

// The checksum of all bytes, in one call.
std::string hash_hex(std::string_view bytes);

}  // namespace ddpm
