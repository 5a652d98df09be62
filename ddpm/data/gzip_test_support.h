// Makes gzip files for tests.
#pragma once

#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

namespace ddpm::test {

inline std::string gzipped(const std::string& plain) {
  z_stream stream{};
  constexpr int kGzip = 16, kLevel = 9, kMemory = 9;
  EXPECT_EQ(
      deflateInit2(&stream, kLevel, Z_DEFLATED, MAX_WBITS + kGzip, kMemory, Z_DEFAULT_STRATEGY),
      Z_OK);
  std::string packed(deflateBound(&stream, plain.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

}  // namespace ddpm::test
