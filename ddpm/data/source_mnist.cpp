// MNIST and its relatives (Fashion-MNIST, KMNIST): one IDX file of grey images, often gzipped.
// Format: big-endian magic 0x00000803, count, height, width, then count * height * width bytes
// (http://yann.lecun.com/exdb/mnist).
#include <fmt/core.h>
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <memory>

#include "ddpm/base/error.h"
#include "ddpm/data/resize.h"
#include "ddpm/data/source_kinds.h"

namespace ddpm {
namespace {

constexpr size_t kHeader = 16;
constexpr int64_t kMostBytes = int64_t{1} << 36;
constexpr const char* kNames[] = {"train-images-idx3-ubyte", "train-images.idx3-ubyte",
                                  "train-images-idx3-ubyte.gz", "train-images.idx3-ubyte.gz"};

// At most `limit` bytes of a gzip stream, so that a hostile file cannot fill the memory.
std::string inflate_prefix(const std::string& packed, size_t limit, const std::string& path) {
  z_stream stream{};
  constexpr int kGzip = 16;
  if (inflateInit2(&stream, MAX_WBITS + kGzip) != Z_OK) fail("mnist", "zlib does not start");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> closer(&stream, inflateEnd);
  std::string plain;
  size_t consumed = 0;
  constexpr size_t kPiece = size_t{1} << 24;
  while (plain.size() < limit) {
    if (stream.avail_in == 0) {
      const size_t piece = std::min(packed.size() - consumed, kPiece);
      if (piece == 0)
        fail("mnist", fmt::format("{} is truncated: its gzip stream ends early", path));
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + consumed));
      stream.avail_in = static_cast<uInt>(piece);
      consumed += piece;
    }
    const size_t before = plain.size(), room = std::min(limit - before, kPiece);
    plain.resize(before + room);
    stream.next_out = reinterpret_cast<Bytef*>(plain.data() + before);
    stream.avail_out = static_cast<uInt>(room);
    const int status = inflate(&stream, Z_NO_FLUSH);
    plain.resize(before + room - stream.avail_out);
    if (status == Z_STREAM_END) break;
    if (status != Z_OK && status != Z_BUF_ERROR) {
      fail("mnist", fmt::format("{} is a damaged gzip file: {}", path,
                                stream.msg != nullptr ? stream.msg : "zlib gives no reason"));
    }
  }
  return plain;
}

int64_t big_endian(const std::string& bytes, size_t offset) {
  int64_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[offset + i]);
  return value;
}

struct Header {
  int64_t count, height, width;
  int64_t bytes() const { return static_cast<int64_t>(kHeader) + count * height * width; }
};

Header read_header(const std::string& bytes, const std::string& path) {
  constexpr int64_t kMagic = 0x803, kLargestSide = 4096;
  if (bytes.size() < kHeader || big_endian(bytes, 0) != kMagic) {
    fail("mnist", fmt::format("{} is no IDX file of images: it does not start with 00 00 08 03 and "
                              "three sizes",
                              path));
  }
  const Header header{big_endian(bytes, 4), big_endian(bytes, 8), big_endian(bytes, 12)};
  if (header.count < 1 || header.height < 1 || header.width < 1 || header.height > kLargestSide ||
      header.width > kLargestSide) {
    fail("mnist", fmt::format("{} says it holds {} images of {} x {}, which cannot be", path,
                              header.count, header.height, header.width));
  }
  return header;
}

std::string find_images(const std::string& folder) {
  for (const char* name : kNames) {
    const std::string path = join_path(folder, name);
    if (find_file(path)) return path;
  }
  fail("mnist",
       fmt::format("{} holds no {} nor {}, plain or with .gz", folder, kNames[0], kNames[1]));
}

}  // namespace

PictureList list_mnist(const std::string& folder, const SharedReader& reader) {
  require_folder(folder, fmt::format("{} or {}.gz", kNames[0], kNames[0]));
  const std::string path = find_images(folder);
  FileReader::Contents contents = reader->read(path, base_name(path), kMostBytes);
  std::string file = std::move(contents.bytes);
  const bool packed = file.starts_with("\x1f\x8b");
  const Header header = read_header(packed ? inflate_prefix(file, kHeader, path) : file, path);
  if (packed) file = inflate_prefix(file, static_cast<size_t>(header.bytes()), path);
  if (static_cast<int64_t>(file.size()) < header.bytes()) {
    fail("mnist",
         fmt::format("{} is truncated: {} images of {} x {} are {} bytes, it has {}", path,
                     header.count, header.height, header.width, header.bytes(), file.size()));
  }
  PictureList list;
  list.name = fmt::format("mnist:{}", folder);
  list.looked_for = path;
  list.own_size = {header.height, header.width};
  list.count = header.count;
  list.containers.files = {std::move(contents.file)};
  list.path_of = [path](int64_t i) { return fmt::format("{}#{}", path, i); };
  list.load = [bytes = std::make_shared<const std::string>(std::move(file)), header](
                  int64_t i, ImageSize size) -> Picture {
    Tensor image({header.height, header.width, 1}, DType::kUInt8);
    std::copy_n(bytes->data() + kHeader + i * image.bytes(), image.bytes(), image.u8());
    return {fit_image(image, size), {}};
  };
  return list;
}

}  // namespace ddpm
