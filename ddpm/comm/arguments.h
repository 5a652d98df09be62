// Checks of the arguments of collective calls, for every kind of communicator.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace ddpm {

// Throws Error unless 0 <= rank < size.
void check_rank(const char* call, int rank, int size);
// Throws Error unless 0 <= tag < 1000.
void check_tag(const char* call, int tag);
// Throws Error unless both numbers of bytes are the same. `sender` and `receiver` are ranks.
void check_bytes(const char* call, int sender, size_t sent, int receiver, size_t received);

// Where the bytes of each rank begin when they lie one after another. Throws Error unless there is
// a size for each of `ranks` ranks and their sum is `bytes`.
std::vector<size_t> offsets(const char* call, std::span<const size_t> sizes, int ranks,
                            size_t bytes);

}  // namespace ddpm
