#include "apps/cli/command_words.h"

#include <algorithm>

namespace ddpm::cli {

CommandWords split_command_words(const std::vector<std::string>& words,
                                 const std::function<bool(const std::string& flag)>& takes_value) {
  auto at = words.begin();
  while (at != words.end() && *at != "--" && at->starts_with("-")) {
    at += std::min<std::ptrdiff_t>(takes_value(*at) ? 2 : 1, words.end() - at);
  }
  CommandWords split{.own = {words.begin(), at}, .rest = {}};
  if (at != words.end() && *at == "--") ++at;
  split.rest.assign(at, words.end());
  return split;
}

}  // namespace ddpm::cli
