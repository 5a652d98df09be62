#include "apps/cli/output.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "ddpm/base/retry.h"
#include "ddpm/base/text.h"
#include "ddpm/base/utf8.h"

namespace ddpm::cli {
namespace {

int stdout_error = 0;

// Returns 0 or an errno. If the descriptor does not block, the function waits until it can write:
// for standard output without limit, for standard error only for a moment.
int write_all(int descriptor, std::string_view text, int patience_ms) noexcept {
  while (!text.empty()) {
    const ssize_t written = retry([&] { return write(descriptor, text.data(), text.size()); });
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
      continue;
    }
    if (errno != EAGAIN) return errno;
    pollfd ready{.fd = descriptor, .events = POLLOUT, .revents = 0};
    if (poll(&ready, 1, patience_ms) == 0) return EAGAIN;
  }
  return 0;
}

// printable() for every line. Empty if there is no memory for it.
std::string printable_lines(std::string_view text) noexcept {
  try {
    std::string shown;
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      shown += printable(text.substr(begin, end - begin));
      if (end < text.size()) shown += '\n';
      begin = end + 1;
    }
    return shown;
  } catch (...) {
    return {};
  }
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_@%+=:,./-").find(c) != std::string_view::npos;
}

}  // namespace

void prepare_outputs() noexcept {
  signal(SIGPIPE, SIG_IGN);
  for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; ++descriptor) {
    if (fcntl(descriptor, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest free number is this descriptor. Without /dev/null, any open file serves to use it
    // up.
    if (open("/dev/null", O_RDWR) < 0) static_cast<void>(open("/", O_PATH));
  }
}

void print(std::string_view text) noexcept {
  // After an error, further text is not written, because it would have a gap.
  if (stdout_error == 0) stdout_error = write_all(STDOUT_FILENO, printable_lines(text), -1);
}

void say(std::string_view text) noexcept { say_raw(printable_lines(text)); }

void say_raw(std::string_view text) noexcept { write_all(STDERR_FILENO, text, 1000); }

int output_error() noexcept { return stdout_error == EPIPE ? 0 : stdout_error; }

std::string shell_word(std::string_view path) {
  std::string text = (path.starts_with('-') ? "./" : "") + std::string(path);
  if (!text.empty() && std::all_of(text.begin(), text.end(), is_plain)) return text;
  std::string quoted;
  if (printable(text) == text) {
    for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return "'" + quoted + "'";
  }
  // bash, zsh, ksh and POSIX 2024 know this form.
  for (const char c : text) {
    quoted += is_plain(c) || c == ' ' ? std::string(1, c)
                                      : fmt::format("\\{:03o}", static_cast<unsigned char>(c));
  }
  return "$'" + quoted + "'";
}

std::string printable_json(std::string_view json) {
  std::string shown;
  for (size_t i = 0; i < json.size();) {
    const size_t length = std::max<size_t>(utf8_character(json.substr(i)), 1);
    const std::string_view character = json.substr(i, length);
    const std::string safe = printable(character);
    if (character == "\x7f") {
      shown += "\\u007f";
    } else if (safe.starts_with("\\u")) {
      shown += safe;
    } else {
      shown += character;
    }
    i += length;
  }
  return shown;
}

}  // namespace ddpm::cli
