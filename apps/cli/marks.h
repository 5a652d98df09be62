// What the ranks of `ddpm launch` tell it. Each rank writes marked lines to standard error, and
// `ddpm launch` takes them out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ddpm::cli {

// `ddpm launch` sets this variable of the environment to a text that is different in each start.
// The ranks put it into their marks.
inline constexpr const char* kMarkVariable = "DDPM_LAUNCH";

struct Mark {
  enum class Kind {
    // The process is there. The text is its host.
    kStarted,
    // The ranks are connected.
    kJoined,
    // The text is the newest checkpoint.
    kSaved,
    // The text is the numbers of ranks that do not answer, separated by spaces.
    kLost,
    // The rank works, and knows that the job ends now. The text is "failed" if the rank has said
    // why, or has heard it from another one.
    kEnds,
  };
  Kind kind;
  int rank;
  std::string text;
};

// The line that tells a mark. The text must have no line end.
std::string to_line(std::string_view start, const Mark& mark);

// Separates the marks from everything else that the ranks write.
class MarkReader {
 public:
  // Of the ranks with this value of the variable.
  explicit MarkReader(std::string_view start);
  // Appends the marks in `bytes` to `marks`. Returns the rest, without the end that may be the
  // beginning of a mark.
  std::string take(std::string_view bytes, std::vector<Mark>& marks);
  // What is left after the last byte.
  std::string rest() const { return kept_; }

 private:
  std::string begin_;
  std::string kept_;
};

}  // namespace ddpm::cli
