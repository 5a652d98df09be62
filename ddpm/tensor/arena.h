// Memory for large blocks. The arena takes segments from the system and cuts them into blocks as
// needed. It uses the smallest free block that fits, and merges free neighbours, so that tensors of
// many sizes can use the same bytes at different times. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

namespace ddpm {

class Arena {
 public:
  // Where segments come from. Those that are imagined have addresses but no memory: an arena of
  // them tells how much memory a sequence of calls would take.
  enum class Segments { kOfSystem, kImagined };
  explicit Arena(Segments segments = Segments::kOfSystem) : kind_(segments) {}

  struct Outcome {
    // 4096-byte aligned, advised to use huge pages. Null if the system has no memory.
    void* block;
    // The bytes of the block that had never been used before.
    size_t new_bytes;
  };
  Outcome allocate(size_t bytes);
  // Returns false if there is no memory for the bookkeeping. The block then stays in use.
  bool release(void* block) noexcept;
  // Gives segments without a block in use back to the system. Returns how many of their bytes had
  // been in use before.
  size_t trim();

  static size_t rounded(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

 private:
  static constexpr size_t kPage = 4096;

  struct Segment {
    char* end;
    // The bytes from here to the end have never been used, so they cost no memory yet.
    char* top;
  };
  struct Block {
    char* end;
    bool free;
  };
  bool add_segment(size_t bytes);
  bool map_segment(size_t size);
  bool imagine_segment(size_t size);
  std::map<char*, Segment>::iterator segment_of(char* block) {
    return std::prev(segments_.upper_bound(block));
  }

  Segments kind_;
  // The key is the first byte.
  std::map<char*, Segment> segments_;
  // The blocks below the tops, without gaps. The key is the first byte.
  std::map<char*, Block> blocks_;
  // The size and first byte of each free block.
  std::set<std::pair<size_t, char*>> free_;
};

}  // namespace ddpm
