// The pictures of a source that several ranks have decoded parts of, on all of them. Private to
// data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "ddpm/comm/communicator.h"
#include "ddpm/data/stream/picture_index.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The rank that decodes picture i.
inline bool decodes(const Communicator* ranks, int64_t i) {
  return ranks == nullptr || i % ranks->size() == ranks->rank();
}

// Replaces what other ranks have found out about pictures by what they say. Every rank calls it.
void share_index(Communicator& ranks, std::vector<IndexedPicture>& pictures);

// About how many bytes of pictures a rank gives at a time. Every rank holds those of all ranks
// then, and many ranks may be on one machine.
size_t share_round_bytes(int ranks);

// Gives the pictures that this rank decoded, uint8 [H, W, C], to all other ranks, a limited number
// of bytes at a time. `decoded` returns an undefined tensor for damaged pictures. `put` receives
// those of other ranks. If it throws on a rank, this throws on all, as agree() does. Every rank
// calls it.
void share_pictures(Communicator& ranks, int64_t count,
                    const std::function<Tensor(int64_t i)>& decoded,
                    const std::function<void(int64_t i, const Tensor& picture)>& put);

}  // namespace ddpm
