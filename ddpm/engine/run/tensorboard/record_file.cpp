#include "ddpm/engine/run/tensorboard/record_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/retry.h"

namespace ddpm {
namespace {

// The remainder of each byte, for the reflected polynomial.
constexpr std::array<uint32_t, 256> kTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t rest = byte;
    for (int bit = 0; bit < 8; ++bit) rest = rest >> 1 ^ (rest & 1 ? 0x82f63b78u : 0);
    table[byte] = rest;
  }
  return table;
}();

// Little-endian.
template <class Number>
std::string bytes_of(Number number) {
  std::string bytes;
  for (size_t i = 0; i < sizeof number; ++i, number = static_cast<Number>(number >> 8))
    bytes += static_cast<char>(number & 0xff);
  return bytes;
}

[[noreturn]] void fail_file(const char* doing, const std::string& path, int error) {
  fail_system("train", fmt::format("cannot {} {}: {}", doing, path, std::strerror(error)), error);
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t rest = ~uint32_t{0};
  for (const char byte : bytes)
    rest = rest >> 8 ^ kTable[(rest ^ static_cast<uint8_t>(byte)) & 255];
  return ~rest;
}

uint32_t masked_crc32c(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

std::string framed(std::string_view record) {
  const std::string length = bytes_of(uint64_t{record.size()});
  std::string frame = length + bytes_of(masked_crc32c(length));
  frame += record;
  return frame + bytes_of(masked_crc32c(record));
}

RecordFile::RecordFile(std::string path) : path_(std::move(path)) {
  descriptor_ = retry([&] {
    return open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  });
  if (descriptor_ < 0) fail_file("make", path_, errno);
}

RecordFile::~RecordFile() {
  close(descriptor_);
  if (size_ == 0) unlink(path_.c_str());
}

void RecordFile::append(std::string_view record) {
  const std::string frame = framed(record);
  for (std::string_view rest = frame; !rest.empty();) {
    const ssize_t written = retry([&] { return write(descriptor_, rest.data(), rest.size()); });
    if (written <= 0) {
      const int error = written < 0 ? errno : ENOSPC;
      // A reader stops at a part of a record.
      if (retry([&] { return ftruncate(descriptor_, size_); }) != 0)
        fail_file("shorten", path_, errno);
      fail_file("append to", path_, error);
    }
    rest.remove_prefix(static_cast<size_t>(written));
  }
  size_ += static_cast<int64_t>(frame.size());
}

}  // namespace ddpm
