#include "tests/inject/faults.h"

#include <fmt/core.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <sstream>

#include "ddpm/base/file.h"

namespace ddpm::test {
namespace {

using Names = std::vector<std::string>;

bool is_one_of(const std::string& name, const Names& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

const Names kOpening = {"open", "fopen", "opendir", "create", "fopen-create", "fdopendir"};
const Names kReading = {"read", "pread", "pread64", "readv", "fread"};
const Names kWriting = {"write", "pwrite", "pwrite64", "writev"};
const Names kFlushing = {"fwrite", "fflush", "fclose"};
const Names kSyncing = {"fsync", "fdatasync"};
const Names kChanging = {"mkdir",  "mkdirat",   "rename",      "renameat", "renameat2",
                         "link",   "linkat",    "symlink",     "unlink",   "unlinkat",
                         "remove", "rmdir",     "chmod",       "fchmod",   "fchmodat",
                         "fchown", "ftruncate", "ftruncate64", "truncate", "fallocate"};
const Names kLocking = {"flock", "lockf", "fcntl-lock"};

bool changes_files(const std::string& call) {
  return call == "create" || call == "fopen-create" || is_one_of(call, kWriting) ||
         is_one_of(call, kFlushing) || is_one_of(call, kSyncing) || is_one_of(call, kChanging);
}

Outcome run_in_environment(const std::vector<std::string>& arguments,
                           const std::map<std::string, std::string>& environment) {
  Program program(arguments, {.prepare = [&] {
                    constexpr unsigned kLimit = 60;  // seconds; survives exec
                    alarm(kLimit);
                    for (const auto& [name, value] : environment)
                      setenv(name.c_str(), value.c_str(), 1);
                  }});
  return program.wait();
}

// Of equal calls in a row at most three are kept.
std::vector<Call> thin_out(const std::vector<Call>& calls) {
  std::vector<Call> thin;
  for (size_t begin = 0, end; begin < calls.size(); begin = end) {
    const auto same = [&](size_t i) {
      return calls[i].name == calls[begin].name && calls[i].path == calls[begin].path;
    };
    for (end = begin + 1; end < calls.size() && same(end);) ++end;
    for (size_t i = begin; i < end; ++i) {
      if (i == begin || i + 1 == end || i == (begin + end) / 2) thin.push_back(calls[i]);
    }
  }
  return thin;
}

}  // namespace

std::vector<std::string> hows_of(const std::string& call) {
  Names hows = {"EIO"};
  const auto also = [&](const Names& more) { hows.insert(hows.end(), more.begin(), more.end()); };
  if (is_one_of(call, kOpening)) also({"EMFILE", "EACCES", "EINTR"});
  if (is_one_of(call, kReading)) also({"EINTR"});
  if (is_one_of(call, kReading) && call != "fread") also({"short"});
  if (is_one_of(call, kWriting)) also({"ENOSPC", "EINTR", "short", "kill-half"});
  if (is_one_of(call, kFlushing)) also({"ENOSPC", "kill-half"});
  if (is_one_of(call, kSyncing)) also({"ENOSPC", "EINTR"});
  if (is_one_of(call, kChanging)) also({"EACCES", "ENOSPC"});
  if (is_one_of(call, kLocking)) also({"EINTR"});
  if (call == "close") also({"EINTR"});
  if (call.find("stat") != std::string::npos || call == "access") also({"EACCES"});
  if (call == "create" || call == "fopen-create") also({"ENOSPC"});
  if (changes_files(call)) also({"kill-before", "kill-after", "full-disk", "full-for-a-while"});
  return hows;
}

bool is_harmless(const Fault& fault) {
  // FILE and DIR need not continue after a signal.
  if (fault.call.name == "fread" || fault.call.name == "fopen" || fault.call.name == "opendir" ||
      fault.call.name == "fopen-create" || fault.call.name == "fdopendir") {
    return false;
  }
  return fault.how == "EINTR" || fault.how == "short";
}

std::vector<Fault> all_faults(const std::vector<Call>& calls) {
  std::vector<Fault> faults;
  for (const Call& call : calls) {
    for (const std::string& how : hows_of(call.name)) faults.push_back({call.number, how, call});
  }
  return faults;
}

std::vector<Fault> spread_faults(const std::vector<Call>& calls, size_t count) {
  std::vector<Fault> all = all_faults(thin_out(calls));
  std::stable_sort(all.begin(), all.end(), [](const Fault& a, const Fault& b) {
    return std::tie(a.how, a.call.name) < std::tie(b.how, b.call.name);
  });
  std::vector<Fault> some;
  for (size_t i = 0; i < std::min(count, all.size()); ++i) {
    some.push_back(all[(2 * i + 1) * all.size() / (2 * std::min(count, all.size()))]);
  }
  return some;
}

std::string to_text(const Fault& fault) {
  return fmt::format("#{} {} {}: {}", fault.at, fault.call.name, fault.call.path, fault.how);
}

std::vector<Call> read_calls(const std::string& log) {
  std::vector<Call> calls;
  std::istringstream text(read_file(log));
  for (Call call;
       text >> call.number >> call.name && text.ignore() && std::getline(text, call.path);)
    calls.push_back(call);
  return calls;
}

Outcome run_with_fault(const std::vector<std::string>& arguments, const std::string& paths,
                       const std::string& log, const Fault& fault) {
  std::filesystem::remove(log);
  return run_in_environment(arguments, {{"LD_PRELOAD", DDPM_INJECT_SHIM},
                                        {"DDPM_INJECT_PATHS", paths},
                                        {"DDPM_INJECT_LOG", log},
                                        {"DDPM_INJECT_AT", std::to_string(fault.at)},
                                        {"DDPM_INJECT_HOW", fault.how}});
}

Outcome run_within_a_minute(const std::vector<std::string>& arguments) {
  return run_in_environment(arguments, {});
}

}  // namespace ddpm::test
