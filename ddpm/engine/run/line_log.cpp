#include "ddpm/engine/run/line_log.h"

#include <algorithm>
#include <string_view>

#include "ddpm/base/disk.h"
#include "ddpm/base/file.h"

namespace ddpm {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 30;

}  // namespace

int64_t LineLog::read(const std::function<void(const JsonObject& line)>& use) const {
  if (!exists(path_)) return 0;
  const std::string text = read_file(path_, kMostBytes);
  int64_t damaged = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    try {
      use(JsonObject::parse(std::string_view(text).substr(begin, end - begin), "a line"));
    } catch (const Error&) {
      ++damaged;
    }
    begin = end + 1;
  }
  return damaged;
}

void LineLog::append(const JsonObject& line) {
  waiting_ += line.dump(-1) + '\n';
  try {
    sync();
  } catch (const SystemError& error) {
    if (!is_disk_full(error.code())) throw;
  }
}

void LineLog::sync() {
  if (waiting_.empty()) return;
  std::string text = exists(path_) ? read_file(path_, kMostBytes) : "";
  if (!text.empty() && text.back() != '\n') text += '\n';
  write_file_atomic(path_, text + waiting_);
  waiting_.clear();
}

}  // namespace ddpm
