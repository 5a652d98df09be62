#include "ddpm/data/gzip.h"

#include <fmt/core.h>
#include <zlib.h>

#include <algorithm>
#include <memory>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

class Inflater {
 public:
  Inflater(std::string_view file, const std::string& path) : file_(file), path_(path) {
    constexpr int kGzip = 16;
    if (inflateInit2(&stream_, MAX_WBITS + kGzip) != Z_OK) fail("gzip", "cannot initialise zlib");
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Reads the next `room` bytes to `out`. Returns fewer if the last member ends.
  size_t read(char* out, size_t room) {
    // zlib counts in 32 bits.
    constexpr size_t kMost = size_t{1} << 30;
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(std::min(room, kMost));
    const uInt before = stream_.avail_out;
    while (!ended_ && stream_.avail_out > 0) {
      if (stream_.avail_in == 0) feed(kMost);
      const int status = inflate(&stream_, Z_NO_FLUSH);
      if (status == Z_STREAM_END)
        next_member();
      else if (status == Z_BUF_ERROR && consumed_ == file_.size() && stream_.avail_in == 0)
        fail("gzip", fmt::format("{} is truncated: its gzip stream ends early", path_));
      else if (status != Z_OK && status != Z_BUF_ERROR)
        fail("gzip", fmt::format("{} is a damaged gzip file: {}", path_,
                                 stream_.msg != nullptr ? stream_.msg : "zlib gives no reason"));
    }
    return before - stream_.avail_out;
  }

 private:
  void feed(size_t most) {
    const size_t piece = std::min(file_.size() - consumed_, most);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(file_.data() + consumed_));
    stream_.avail_in = static_cast<uInt>(piece);
    consumed_ += piece;
  }

  void next_member() {
    const size_t at = consumed_ - stream_.avail_in;
    ended_ = !is_gzip(file_.substr(at));
    if (!ended_) inflateReset(&stream_);
  }

  std::string_view file_;
  const std::string& path_;
  z_stream stream_{};
  // The number of bytes that zlib has got.
  size_t consumed_ = 0;
  bool ended_ = false;
};

}  // namespace

bool is_gzip(std::string_view file) { return file.starts_with("\x1f\x8b"); }

Unpacked gunzip(std::string_view file, size_t most, const std::string& path) {
  Inflater inflater(file, path);
  Unpacked result;
  // The buffer grows with the data that is found, not with the size that the caller allows.
  for (size_t piece = 1 << 16; result.bytes.size() < most; piece = result.bytes.size()) {
    const size_t before = result.bytes.size();
    result.bytes.resize(before + std::min(piece, most - before));
    const size_t got = inflater.read(result.bytes.data() + before, result.bytes.size() - before);
    result.bytes.resize(before + got);
    if (got == 0) return result;
  }
  char next;
  result.more = inflater.read(&next, 1) > 0;
  return result;
}

}  // namespace ddpm
