// The figures and sample grids of a run as event files for TensorBoard, RUN/tensorboard/. Private
// to engine/run/.
//
// Each session of a run writes a file of its own: events.out.tfevents.000001 and so on, so that
// TensorBoard, which reads files by name, reads them in the order of time. A file begins with the
// step from which the session goes on (a SessionLog with the status START). TensorBoard then drops
// what earlier sessions wrote about this step and later ones, so that steps which are done again
// after a kill are shown once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ddpm/engine/run/tensorboard/record_file.h"

namespace ddpm {

class Board {
 public:
  // `first` is the first step that this session may write about. Throws SystemError if the file
  // cannot be made.
  Board(const std::string& run, int64_t first);

  using Scalars = std::vector<std::pair<std::string, double>>;

  // All throw SystemError if the file cannot be written.
  void add(int64_t step, const Scalars& scalars);
  // The picture is a PNG file.
  void add_picture(int64_t step, const std::string& tag, const std::string& png_path);
  // What was written about this step and later ones does not hold any more.
  void go_on_from(int64_t first);

 private:
  void tell_start();

  RecordFile file_;
  // A step that go_on_from() has not written yet.
  std::optional<int64_t> start_;
};

}  // namespace ddpm
