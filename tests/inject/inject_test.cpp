// Whole runs in which one call to the file system fails, or the process is killed at it. The same
// command with --resume-or-start must then end with exactly the files, byte for byte, of a run
// without a fault.
//
// By default the tests cause some faults of every kind. DDPM_INJECT_CASES=1000 causes more, and
// DDPM_INJECT_ALL=1 every fault at every call, in a quarter of an hour. DDPM_INJECT_ONLY=12:EIO
// repeats one.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <string.h>

#include <filesystem>

#include "ddpm/base/file.h"
#include "tests/cli/program.h"
#include "tests/inject/faults.h"
#include "tests/inject/tree.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::vector<Fault> chosen_faults(const std::vector<Call>& calls, size_t count) {
  if (const char* only = getenv("DDPM_INJECT_ONLY")) {
    std::vector<Fault> faults = all_faults(calls);
    std::erase_if(faults, [&](const Fault& fault) {
      return fmt::format("{}:{}", fault.at, fault.how) != only;
    });
    return faults;
  }
  if (getenv("DDPM_INJECT_ALL") != nullptr) return all_faults(calls);
  const char* more = getenv("DDPM_INJECT_CASES");
  return spread_faults(calls, more == nullptr ? count : std::stoul(more));
}

class Inject : public ::testing::Test {
 protected:
  void SetUp() override {
    make_pictures(pictures_, 3);
    const Outcome clean = run_within_a_minute(words());
    ASSERT_EQ(clean.status, 0) << clean.err;
    clean_ = read_tree(work_);
  }

  // The command as a supervisor repeats it until it succeeds.
  std::vector<std::string> words() const {
    std::vector<std::string> words = {"train", "--data", pictures_, "--out", run_};
    const auto add = [&](const char* flag, const char* value) {
      words.insert(words.end(), {std::string("--") + flag, value});
    };
    add("recipe", "tutorial");
    add("size", "8");
    add("dim", "4");
    add("dim-mults", "1");
    add("groups", "2");
    add("heads", "1");
    add("dim-head", "4");
    add("batch", "2");
    add("timesteps", "10");
    add("steps", "4");
    add("save-every", "2");
    add("sample-every", "2");
    add("sample-count", "2");
    add("sample-steps", "2");
    add("keep-checkpoints", "1");
    add("snapshot-every", "1");
    add("average-halflife", "8,4");
    add("power-average", "0.1");
    add("power-average-every", "1");
    add("log-every", "1");
    add("threads", "1");
    words.emplace_back("--resume-or-start");
    return words;
  }

  void start_from(const std::string& state) {
    fs::remove_all(run_);
    if (!state.empty()) fs::copy(state, run_, fs::copy_options::recursive);
  }

  Outcome run_hit(const Fault& fault) { return run_with_fault(words(), work_, log_, fault); }

  // Runs the command without a fault from this state on and returns its calls.
  std::vector<Call> calls_from(const std::string& state) {
    start_from(state);
    const Outcome outcome = run_hit({});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(difference(clean_, read_tree(work_)), "");
    return read_calls(log_);
  }

  // Makes a run that was killed at the last call for which `is` returns true.
  template <class Is>
  std::string state_killed_at(const std::string& name, const Is& is) {
    Fault kill{.how = "kill-before"};
    for (const Call& call : calls_from("")) {
      if (is(call)) kill.at = call.number;
    }
    start_from("");
    EXPECT_EQ(run_hit(kill).status, 128 + SIGKILL);
    fs::rename(run_, folder_ / name);
    return folder_ / name;
  }

  // What is wrong with how the program ended after the fault. Empty: nothing.
  std::string wrong_ending(const Fault& fault, const Outcome& hit) const {
    if (hit.status == 128 + SIGALRM) return "hangs";
    if (fault.how.starts_with("kill"))
      return hit.status == 128 + SIGKILL ? "" : fmt::format("was not killed: {}", hit.status);
    if (is_harmless(fault) && hit.status != 0)
      return fmt::format("fails with {} instead of trying again: {}", hit.status, hit.err);
    if (hit.status != 0 && hit.status != 1 && hit.status != 2)
      return fmt::format("ends with {}: {}", hit.status, hit.err);
    if (hit.status != 0 && hit.err.find("ddpm: ") == std::string::npos)
      return fmt::format("ends with {} without a reason", hit.status);
    if (hit.status == 0) {
      const std::string wrong = difference(clean_, without_leftovers(read_tree(work_)));
      if (wrong.empty()) return "";
      if (is_harmless(fault)) return "ends with 0 and " + wrong;
      if (hit.err.find(reason(fault)) == std::string::npos)
        return "ends with 0, says nothing and " + wrong;
    }
    return "";
  }

  // A lock or a temporary file that could not be removed does not count. The next start removes it.
  static Tree without_leftovers(Tree tree) {
    std::erase_if(tree, [](const auto& entry) {
      return fs::path(entry.first).filename().string().starts_with(".");
    });
    return tree;
  }

  static std::string reason(const Fault& fault) {
    const std::pair<const char*, int> reasons[] = {
        {"EIO", EIO}, {"EMFILE", EMFILE}, {"EACCES", EACCES}, {"EINTR", EINTR}};
    for (const auto& [how, error] : reasons) {
      if (fault.how == how) return strerror(error);
    }
    return strerror(ENOSPC);
  }

  // A run that had to skip a picture says so. If the picture can be read later, the data has
  // changed.
  bool is_another_run(const Fault& fault, const Outcome& hit, const Outcome& after) const {
    const std::string name = fs::path(fault.call.path).filename().string();
    return fault.call.path.starts_with(pictures_) && fault.how == "EACCES" &&
           hit.err.find("skipped 1 file") != std::string::npos && after.status == 2 &&
           after.err.find(name) != std::string::npos &&
           after.err.find("--accept-changed-data") != std::string::npos;
  }

  void try_fault(const std::string& state, const Fault& fault) {
    start_from(state);
    const Outcome hit = run_hit(fault);
    if (const std::string wrong = wrong_ending(fault, hit); !wrong.empty())
      ADD_FAILURE() << to_text(fault) << " -> the program " << wrong;
    const Outcome after = run_within_a_minute(words());
    if (is_another_run(fault, hit, after)) return;
    if (after.status != 0) {
      ADD_FAILURE() << to_text(fault) << " -> the next run ends with " << after.status << ": "
                    << after.err << "after: " << hit.err;
      return;
    }
    const std::string wrong =
        difference(without_told(clean_, hit), without_told(read_tree(work_), hit));
    if (!wrong.empty()) ADD_FAILURE() << to_text(fault) << " -> the run " << wrong;
  }

  // Without the files that the program said to be missing because the disk was full: what they
  // showed has passed.
  static Tree without_told(Tree tree, const Outcome& hit) {
    const std::pair<const char*, const char*> files[] = {
        {"the snapshot of step", "run/snapshots/step"},
        {"the power averages of step", "run/averages/width_0.1/step"},
        {"a sample grid was not drawn", "run/samples/step"}};
    for (const auto& [words, place] : files) {
      if (hit.err.find(words) == std::string::npos) continue;
      std::erase_if(tree, [start = std::string(place)](const auto& entry) {
        return entry.first.starts_with(start);
      });
    }
    return tree;
  }

  void try_faults(const std::string& state, size_t count) {
    for (const Fault& fault : chosen_faults(calls_from(state), count)) try_fault(state, fault);
  }

  TemporaryFolder folder_;
  // Without symbolic links, as the shim requires.
  const std::string root_ = fs::canonical(folder_.path());
  const std::string work_ = root_ + "/work", log_ = root_ + "/log";
  const std::string pictures_ = work_ + "/pictures", run_ = work_ + "/run";
  Tree clean_;
};

bool renames(const Call& call, const std::string& name) {
  return call.name.starts_with("rename") && call.path.ends_with(name);
}

TEST_F(Inject, FromTheStart) { try_faults("", 40); }

TEST_F(Inject, ResumedBetweenTwoSaves) {
  const std::string state =
      state_killed_at("state", [](const Call& call) { return renames(call, "step-00000002.png"); });
  try_faults(state, 25);
}

// The checkpoint was saved, the model that belongs to it was not.
TEST_F(Inject, ResumedInsideASave) {
  const std::string state =
      state_killed_at("state", [](const Call& call) { return renames(call, "model.safetensors"); });
  try_faults(state, 25);
}

TEST_F(Inject, ResumedAfterTheEnd) {
  fs::copy(run_, folder_ / "state", fs::copy_options::recursive);
  try_faults(folder_ / "state", 15);
}

}  // namespace
}  // namespace ddpm::test
