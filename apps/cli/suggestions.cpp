#include "apps/cli/suggestions.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace ddpm::cli {
namespace {

// The number of edits that turn one word into the other: a letter added, removed or changed, or two
// neighbours swapped.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] =
          std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string nearest(std::string_view typed, const std::vector<std::string>& choices) {
  std::string best;
  size_t least = std::max<size_t>(1, typed.size() / 3) + 1;
  for (const std::string& choice : choices) {
    const size_t distance = edit_distance(typed, choice);
    if (distance < least) least = distance, best = choice;
  }
  return best;
}

std::string unknown(const std::string& what, const std::string& near, const std::string& see) {
  return near.empty() ? what + "; " + see : what + "; did you mean " + near + "?";
}

std::string bars(const std::vector<std::string>& choices) {
  return fmt::format("{}", fmt::join(choices, "|"));
}

}  // namespace ddpm::cli
