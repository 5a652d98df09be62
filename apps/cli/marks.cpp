#include "apps/cli/marks.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>

namespace ddpm::cli {
namespace {

constexpr std::string_view kKinds[] = {"started", "joined", "saved", "lost", "ends"};

// A control character that ddpm prints nowhere else.
constexpr char kSign = '\x1e';

// Longer lines are no marks. Paths have at most 4096 bytes.
constexpr size_t kLongest = 5000;

// Removes the text up to the next space.
std::string_view take_word(std::string_view& text) {
  const size_t space = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, space);
  text.remove_prefix(std::min(space + 1, text.size()));
  return word;
}

std::optional<Mark> read_mark(std::string_view text) {
  const auto* const kind = std::ranges::find(kKinds, take_word(text));
  const std::string_view number = take_word(text);
  int rank = -1;
  std::from_chars(number.data(), number.data() + number.size(), rank);
  if (kind == std::end(kKinds) || rank < 0) return std::nullopt;
  return Mark{static_cast<Mark::Kind>(kind - kKinds), rank, std::string(text)};
}

// The number of bytes at the end of `text` that may be the beginning of `wanted`.
size_t begun_at_end(std::string_view text, std::string_view wanted) {
  for (size_t count = std::min(text.size(), wanted.size() - 1); count > 0; --count) {
    if (text.ends_with(wanted.substr(0, count))) return count;
  }
  return 0;
}

}  // namespace

std::string to_line(std::string_view start, const Mark& mark) {
  return fmt::format("{}{} {} {} {}\n", kSign, start, kKinds[static_cast<size_t>(mark.kind)],
                     mark.rank, mark.text);
}

MarkReader::MarkReader(std::string_view start) : begin_(fmt::format("{}{} ", kSign, start)) {}

std::string MarkReader::take(std::string_view bytes, std::vector<Mark>& marks) {
  kept_ += bytes;
  std::string others;
  for (size_t at; (at = kept_.find(begin_)) != std::string::npos;) {
    others += kept_.substr(0, at);
    kept_.erase(0, at);
    const size_t end = kept_.find('\n');
    if (end == std::string::npos && kept_.size() < kLongest) return others;
    const size_t length = std::min(end, kept_.size() - 1) + 1;
    const std::string line = kept_.substr(0, length);
    kept_.erase(0, length);
    if (const std::optional<Mark> mark =
            read_mark(std::string_view(line).substr(begin_.size(), length - begin_.size() - 1)))
      marks.push_back(*mark);
    else
      others += line;
  }
  const size_t done = kept_.size() - begun_at_end(kept_, begin_);
  others += kept_.substr(0, done);
  kept_.erase(0, done);
  return others;
}

}  // namespace ddpm::cli
