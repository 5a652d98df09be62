// Words for names that do not exist, and for the names that do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ddpm::cli {

// The choice that is most similar to `typed`. Empty if none is similar.
std::string nearest(std::string_view typed, const std::vector<std::string>& choices);

// "there is no command 'trian'; did you mean train?". If `near` is empty: "...; see ddpm --help".
std::string unknown(const std::string& what, const std::string& near, const std::string& see);

// "linear|cosine", for value_name.
std::string bars(const std::vector<std::string>& choices);

}  // namespace ddpm::cli
