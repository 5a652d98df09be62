// Memory for large blocks: segments from the system, cut into blocks as they are wanted. The
// smallest free block that fits is taken, and free neighbours merge, so that tensors of many sizes
// share the same bytes at different times. Not thread-safe.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <utility>

namespace ddpm {

class Arena {
 public:
  struct Outcome {
    void* block;       // 4096-byte aligned, huge pages advised; null where the system has no memory
    size_t new_bytes;  // of it that nobody had used before
  };
  Outcome allocate(size_t bytes);
  // Whether it could; without memory to remember the block by, it stays in use.
  bool release(void* block) noexcept;
  // Gives segments without a block in use back to the system. Returns their bytes that had been in
  // use once.
  size_t trim();

  static size_t rounded(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

 private:
  static constexpr size_t kPage = 4096;

  struct Segment {
    char* end;
    char* top;  // beyond it nothing has ever been used, so that it costs no memory yet
  };
  struct Block {
    char* end;
    bool free;
  };
  bool add_segment(size_t bytes);
  std::map<char*, Segment>::iterator segment_of(char* block) {
    return std::prev(segments_.upper_bound(block));
  }

  std::map<char*, Segment> segments_;        // by first byte
  std::map<char*, Block> blocks_;            // below the tops, by first byte, without gaps
  std::set<std::pair<size_t, char*>> free_;  // sizes and first bytes
};

}  // namespace ddpm
