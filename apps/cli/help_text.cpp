#include "apps/cli/help_text.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace ddpm::cli {
namespace {

// The column where help texts start.
constexpr size_t kColumn = 30;

size_t help_width() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 100;
  return std::clamp<size_t>(size.ws_col, 60, 120);
}

// Breaks a text into lines. All lines but the first are indented.
std::string wrap(const std::string& text, size_t indent, size_t width) {
  std::string lines;
  size_t used = indent;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    const size_t length = end - begin;
    if (used > indent && used + 1 + length > width) {
      lines += "\n" + std::string(indent, ' ');
      used = indent;
    } else if (used > indent) {
      lines += ' ';
      ++used;
    }
    lines += text.substr(begin, length);
    used += length;
    begin = end + 1;
  }
  return lines;
}

}  // namespace

std::string help_row(std::string left, const std::string& right) {
  if (left.size() + 2 > kColumn) {
    left += "\n" + std::string(kColumn, ' ');
  } else {
    left.resize(kColumn, ' ');
  }
  return left + wrap(right, kColumn, help_width()) + "\n";
}

}  // namespace ddpm::cli
