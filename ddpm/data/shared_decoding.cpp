#include "ddpm/data/shared_decoding.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>

#include "ddpm/comm/messages.h"

namespace ddpm {
namespace {

// Values one after another.
class Packer {
 public:
  template <class T>
  requires std::is_trivially_copyable_v<T>
  void add(const T& value) {
    const auto* bytes = reinterpret_cast<const char*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof value);
  }
  void add(const std::string& text) {
    add(text.size());
    bytes_.insert(bytes_.end(), text.begin(), text.end());
  }
  void add(std::span<const uint8_t> values) {
    bytes_.insert(bytes_.end(), values.begin(), values.end());
  }
  const std::vector<char>& bytes() const { return bytes_; }

 private:
  std::vector<char> bytes_;
};

class Unpacker {
 public:
  explicit Unpacker(const std::vector<char>& bytes) : next_(bytes.data()), left_(bytes.size()) {}
  bool done() const { return left_ == 0; }
  void take(void* to, size_t bytes) {
    std::memcpy(to, next_, bytes);
    next_ += bytes;
    left_ -= bytes;
  }
  template <class T>
  T take() {
    T value{};
    take(&value, sizeof value);
    return value;
  }
  std::string take_text() {
    std::string text(take<size_t>(), '\0');
    take(text.data(), text.size());
    return text;
  }

 private:
  const char* next_;
  size_t left_;
};

std::vector<char> gather_bytes(Communicator& ranks, const std::vector<char>& mine) {
  return gather_values(ranks, mine, gather_each(ranks, mine.size()));
}

void pack(Packer& packer, int64_t i, const Tensor& picture) {
  packer.add(i);
  for (int axis = 0; axis < 3; ++axis) packer.add(picture.size(axis));
  packer.add(std::span(picture.u8(), static_cast<size_t>(picture.bytes())));
}

}  // namespace

void share_index(Communicator& ranks, std::vector<IndexedPicture>& pictures) {
  Packer mine;
  for (size_t i = 0; i < pictures.size(); ++i) {
    if (!decodes(&ranks, static_cast<int64_t>(i))) continue;
    const IndexedPicture& picture = pictures[i];
    mine.add(i);
    mine.add(picture.file.name);
    mine.add(picture.file.bytes);
    mine.add(picture.file.modified_ns);
    mine.add(picture.file.hash);
    mine.add(picture.channels);
    mine.add(picture.reason);
  }
  const std::vector<char> all = gather_bytes(ranks, mine.bytes());
  for (Unpacker next(all); !next.done();) {
    IndexedPicture& picture = pictures[next.take<size_t>()];
    picture.file.name = next.take_text();
    picture.file.bytes = next.take<int64_t>();
    picture.file.modified_ns = next.take<int64_t>();
    picture.file.hash = next.take_text();
    picture.channels = next.take<int64_t>();
    picture.reason = next.take_text();
  }
}

size_t share_round_bytes(int ranks) {
  constexpr size_t kAll = size_t{1} << 24, kFewest = size_t{1} << 16;
  return std::max(kAll / static_cast<size_t>(ranks), kFewest);
}

void share_pictures(Communicator& ranks, int64_t count,
                    const std::function<Tensor(int64_t i)>& decoded,
                    const std::function<void(int64_t i, const Tensor& picture)>& put) {
  const size_t round_bytes = share_round_bytes(ranks.size());
  int64_t i = ranks.rank();
  // A rank with no more pictures takes part until all have given theirs.
  for (bool more = true; more;) {
    Packer mine;
    for (; i < count && mine.bytes().size() < round_bytes; i += ranks.size())
      if (const Tensor picture = decoded(i); picture.defined()) pack(mine, i, picture);
    const std::vector<char> all = gather_bytes(ranks, mine.bytes());
    agree(&ranks, [&] {
      for (Unpacker next(all); !next.done();) {
        const auto number = next.take<int64_t>(), height = next.take<int64_t>(),
                   width = next.take<int64_t>(), channels = next.take<int64_t>();
        Tensor picture({height, width, channels}, DType::kUInt8);
        next.take(picture.u8(), static_cast<size_t>(picture.bytes()));
        if (!decodes(&ranks, number)) put(number, picture);
      }
    });
    more = any_of(ranks, i < count);
  }
}

}  // namespace ddpm
