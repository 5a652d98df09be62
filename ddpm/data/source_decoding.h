// Finds out which pictures of a source are sound, and decodes them into memory if they are to be
// there. Private to data.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/comm/communicator.h"
#include "ddpm/data/picture_store.h"
#include "ddpm/data/source.h"
#include "ddpm/data/source_kinds.h"
#include "ddpm/data/stream/picture_index.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

struct CheckedPictures {
  // For each picture of the list. Without a file if one file holds many pictures, and if the system
  // could not read it.
  std::vector<IndexedPicture> all;
  // The sound pictures in memory, [N, H, W, C]. Undefined if they are not to be there.
  Tensor images;
  // The same if they are not cut yet, each [H, W, C] with a size and channels of its own.
  std::vector<Tensor> uncut;
  // If the format does not say: the fewest that hold all sound pictures. 0 if none is sound.
  int64_t channels = 0;
};

// Decodes every picture once, in parallel, on one of the ranks if there are some (null: none). If
// they are not to be in memory, those that are known are not read. Throws as load_source() does.
CheckedPictures check_all(const PictureList& list, const PictureFormat& format,
                          const KnownPictures& known, bool in_memory, const LoadProgress& progress,
                          Communicator* ranks);

// Whether all pictures of the list are known.
bool knows_all(const KnownPictures& known, const PictureList& list);

}  // namespace ddpm
