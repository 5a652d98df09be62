#include "ddpm/base/memory.h"

#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

namespace ddpm {
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

// The contents of a file. Empty if it cannot be read.
std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::optional<int64_t> number(std::string_view text) {
  const size_t digits = text.find_first_of("0123456789");
  if (digits == std::string_view::npos) return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + digits, text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) return kUnlimited;
  return value;
}

// The number after a word at the start of a line, as in /proc/meminfo and memory.stat.
std::optional<int64_t> entry(const std::string& text, const std::string& word) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(word) && line.size() > word.size() &&
        (line[word.size()] == ':' || line[word.size()] == ' ')) {
      return number(std::string_view(line).substr(word.size()));
    }
  }
  return std::nullopt;
}

int64_t entry_or_0(const std::string& text, const std::string& word) {
  return entry(text, word).value_or(0);
}

void lower(AvailableMemory& least, int64_t bytes, const std::string& limit) {
  if (bytes < least.bytes) least = {.bytes = std::max<int64_t>(bytes, 0), .limit = limit};
}

// `point` is where a hierarchy of control groups is mounted. `root` is the group that is mounted.
struct Mount {
  std::string root, point;
};

std::optional<Mount> find_mount(const std::string& mounts, std::string_view type,
                                std::string_view controller) {
  std::istringstream lines(mounts);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream in(line);
    const std::vector<std::string> fields{std::istream_iterator<std::string>(in), {}};
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 6 || fields.end() - dash < 4 || dash[1] != type) continue;
    const std::string options = fmt::format(",{},", dash[3]);
    if (!controller.empty() && options.find(fmt::format(",{},", controller)) == std::string::npos)
      continue;
    return Mount{.root = fields[3], .point = fields[4]};
  }
  return std::nullopt;
}

// The group of this process in the hierarchy: the rest of "4:memory:/a/b" or "0::/a/b".
std::optional<std::string> group_of(const std::string& groups, std::string_view controller) {
  std::istringstream lines(groups);
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string names = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    const bool found = controller.empty()
                           ? names == ",,"
                           : names.find(fmt::format(",{},", controller)) != std::string::npos;
    if (found) return line.substr(second + 1);
  }
  return std::nullopt;
}

struct GroupFiles {
  std::vector<std::string> limits;
  std::string usage;
  // The entries of memory.stat that count memory which the system can take back.
  std::vector<std::string> reclaimable;
};

// A group is bound by its own limits and by those of every group above it. In a container the path
// of the group may name folders that are not mounted there. The loop upwards then ends at the
// mount, which is the group of the container.
void lower_by_groups(const std::string& before, const Mount& mount, std::string group,
                     const GroupFiles& files, AvailableMemory& least) {
  if (mount.root != "/" && group.starts_with(mount.root)) group.erase(0, mount.root.size());
  while (true) {
    const std::string folder = before + mount.point + (group == "/" ? "" : group) + "/";
    if (const auto used = number(contents(folder + files.usage))) {
      int64_t held = *used;
      const std::string stat = contents(folder + "memory.stat");
      for (const std::string& name : files.reclaimable) held -= entry_or_0(stat, name);
      for (const std::string& name : files.limits) {
        const std::string text = contents(folder + name);
        if (text.starts_with("max")) continue;
        if (const auto limit = number(text); limit && *limit < kUnlimited / 2) {
          lower(least, *limit - std::max<int64_t>(held, 0),
                fmt::format("{} of the control group {}", name, group.empty() ? "/" : group));
        }
      }
    }
    if (group.empty() || group == "/") return;
    group.erase(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
}

int64_t limit_of(int resource) {
  rlimit limit{};
  if (getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return -1;
  if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > rlim_t{kUnlimited}) return -1;
  return static_cast<int64_t>(limit.rlim_cur);
}

}  // namespace

AvailableMemory available_memory(const MemorySources& sources) {
  AvailableMemory least{.bytes = kUnlimited, .limit = "no known limit"};
  const std::string machine = contents(sources.root + "/proc/meminfo");
  if (const auto free = entry(machine, "MemAvailable")) {
    lower(least, (*free + entry_or_0(machine, "SwapFree")) * 1024,
          "the free memory of this machine");
  }
  const std::string mounts = contents(sources.root + "/proc/self/mountinfo");
  const std::string groups = contents(sources.root + "/proc/self/cgroup");
  const auto lower_by = [&](std::string_view type, std::string_view controller,
                            const GroupFiles& files) {
    const auto mount = find_mount(mounts, type, controller);
    const auto group = group_of(groups, controller);
    if (mount && group) lower_by_groups(sources.root, *mount, *group, files, least);
  };
  lower_by("cgroup2", "",
           {.limits = {"memory.max", "memory.high"},
            .usage = "memory.current",
            .reclaimable = {"inactive_file", "active_file", "slab_reclaimable"}});
  lower_by("cgroup", "memory",
           {.limits = {"memory.limit_in_bytes"},
            .usage = "memory.usage_in_bytes",
            .reclaimable = {"total_inactive_file", "total_active_file"}});
  const std::string process = contents(sources.root + "/proc/self/status");
  if (sources.address_space >= 0) {
    lower(least, sources.address_space - entry_or_0(process, "VmSize") * 1024, kAddressSpaceLimit);
  }
  if (sources.data >= 0) {
    lower(least, sources.data - entry_or_0(process, "VmData") * 1024, "ulimit -d");
  }
  return least;
}

AvailableMemory available_memory() {
  return available_memory(
      {.root = "", .address_space = limit_of(RLIMIT_AS), .data = limit_of(RLIMIT_DATA)});
}

ProcessMemory process_memory() {
  const std::string status = contents("/proc/self/status");
  return {.resident = entry_or_0(status, "VmRSS") * 1024,
          .peak = entry_or_0(status, "VmHWM") * 1024,
          .address_space = entry_or_0(status, "VmSize") * 1024};
}

std::string memory_text(double bytes) {
  double value = bytes;
  const char* unit = "B";
  for (const char* next : {"kB", "MB", "GB", "TB", "PB", "EB"}) {
    if (value < 999.5) break;
    value /= 1000;
    unit = next;
  }
  return fmt::format("{:.3g} {}", value, unit);
}

}  // namespace ddpm
