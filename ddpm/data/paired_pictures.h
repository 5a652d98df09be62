// Pairs of pictures of which only some of both sides take part. Private to this room.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/data/pictures.h"

namespace ddpm {

// Pair k is picture of_pictures[k] with condition of_conditions[k].
struct Pairing {
  std::vector<int64_t> of_pictures;
  std::vector<int64_t> of_conditions;
};

// As paired_pictures() of pictures.h.
std::shared_ptr<const Pictures> paired_pictures(std::shared_ptr<const Pictures> pictures,
                                                std::shared_ptr<const Pictures> conditions,
                                                Pairing pairing, DataFingerprint fingerprint);

// How the fingerprint of pairs calls a file of a condition, and back.
std::string condition_file_name(const std::string& name);
// Nothing if it is not that of a condition.
std::optional<std::string> name_of_condition(std::string_view file_name);
// The files of a fingerprint of pairs that are conditions, under their own names.
DataFingerprint condition_files(const DataFingerprint& of_pairs);

}  // namespace ddpm
