#include "ddpm/tensor/arena.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace ddpm {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
// The size of address space that is reserved, not of memory. Few segments mean few unused ends.
// Where address space is limited (ulimit -v), a segment takes at most a sixteenth of the limit.
size_t usual_segment() {
  constexpr size_t kSegment = size_t{256} << 20;
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kSegment;
  return std::min<size_t>(limit.rlim_cur / 16, kSegment);
}

}  // namespace

bool Arena::add_segment(size_t bytes) {
  const size_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  if (size < bytes) return false;
  return kind_ == Segments::kOfSystem ? map_segment(size) : imagine_segment(size);
}

// As the system places them: each below the one before.
bool Arena::imagine_segment(size_t size) {
  constexpr uintptr_t kFirstEnd = uintptr_t{1} << 62;
  const uintptr_t end =
      segments_.empty() ? kFirstEnd : reinterpret_cast<uintptr_t>(segments_.begin()->first);
  if (size + kHugePage > end) return false;
  char* base = reinterpret_cast<char*>(end - kHugePage - size);
  segments_[base] = {.end = base + size, .top = base};
  return true;
}

bool Arena::map_segment(size_t size) {
  const size_t mapped = size + kHugePage;
  if (mapped < size) return false;
  void* raw = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return false;
  // Align the segment to whole huge pages.
  char* first = static_cast<char*>(raw);
  const size_t skip = (kHugePage - reinterpret_cast<uintptr_t>(first) % kHugePage) % kHugePage;
  if (skip > 0) munmap(first, skip);
  if (skip < kHugePage) munmap(first + skip + size, kHugePage - skip);
  char* base = first + skip;
#ifdef MADV_HUGEPAGE
  madvise(base, size, MADV_HUGEPAGE);
#endif
  segments_[base] = {.end = base + size, .top = base};
  return true;
}

Arena::Outcome Arena::allocate(size_t bytes) {
  const size_t size = rounded(std::max<size_t>(bytes, 1));
  if (size < bytes) return {nullptr, 0};
  const auto fit = free_.lower_bound({size, nullptr});
  if (fit != free_.end()) {
    const auto [found, first] = *fit;
    free_.erase(fit);
    Block& block = blocks_[first];
    block.free = false;
    if (found > size) {
      char* rest = first + size;
      blocks_[rest] = {.end = block.end, .free = true};
      free_.insert({found - size, rest});
      block.end = rest;
    }
    return {first, 0};
  }
  auto room = std::find_if(segments_.begin(), segments_.end(), [&](const auto& s) {
    return static_cast<size_t>(s.second.end - s.second.top) >= size;
  });
  if (room == segments_.end()) {
    if (!add_segment(std::max(size, usual_segment())) && !add_segment(size)) return {nullptr, 0};
    return allocate(bytes);
  }
  // A free block just below the top becomes part of the new block.
  auto& [base, segment] = *room;
  char* first = segment.top;
  if (first > base) {
    const auto below = std::prev(blocks_.lower_bound(first));
    if (below->second.free) {
      first = below->first;
      free_.erase({static_cast<size_t>(below->second.end - first), first});
    }
  }
  const size_t new_bytes = static_cast<size_t>(first + size - segment.top);
  segment.top = first + size;
  blocks_[first] = {.end = segment.top, .free = false};
  return {first, new_bytes};
}

bool Arena::release(void* block) noexcept try {
  char* first = static_cast<char*>(block);
  auto here = blocks_.find(first);
  char* end = here->second.end;
  // The node is allocated first, because this may fail for lack of memory.
  auto node = free_.insert({0, first}).first;
  const auto segment = segment_of(first);
  const auto after = std::next(here);
  if (after != blocks_.end() && after->first == end && end < segment->second.top &&
      after->second.free) {
    free_.erase({static_cast<size_t>(after->second.end - end), end});
    end = after->second.end;
    blocks_.erase(after);
  }
  if (first > segment->first) {
    const auto before = std::prev(here);
    if (before->second.free) {
      first = before->first;
      free_.erase({static_cast<size_t>(before->second.end - first), first});
      blocks_.erase(here);
      here = before;
    }
  }
  here->second = {.end = end, .free = true};
  auto handle = free_.extract(node);
  handle.value() = {static_cast<size_t>(end - first), first};
  free_.insert(std::move(handle));
  return true;
} catch (...) {
  return false;
}

size_t Arena::trim() {
  size_t bytes = 0;
  for (auto it = segments_.begin(); it != segments_.end();) {
    auto& [base, segment] = *it;
    const auto block = blocks_.find(base);
    const bool idle =
        segment.top == base || (block->second.free && block->second.end == segment.top);
    if (!idle) {
      ++it;
      continue;
    }
    if (segment.top > base) {
      free_.erase({static_cast<size_t>(segment.top - base), base});
      blocks_.erase(block);
      bytes += static_cast<size_t>(segment.top - base);
    }
    if (kind_ == Segments::kOfSystem) munmap(base, static_cast<size_t>(segment.end - base));
    it = segments_.erase(it);
  }
  return bytes;
}

}  // namespace ddpm
