// The threads of both sides spin for a moment after a call, and would take the cores from the other
// side. So the candidates take turns. A turn begins with a pause, after which all threads sleep.
// Then come calls without timing, which wake the candidate's threads and fill the caches, and then
// timed calls. In each round every candidate has one turn. Minima count, because a disturbed
// measurement only becomes longer.
#include "bench/versus_onednn.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "bench/conv_problem.h"
#include "bench/conv_shapes.h"
#include "bench/onednn.h"
#include "bench/stopwatch.h"
#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/ops/conv_select.h"
#include "ddpm/kernels/cpu/ops/cpu_backend.h"

namespace ddpm::bench {
namespace {

// Longer than the threads of either side spin.
constexpr auto kRest = std::chrono::milliseconds(1);
constexpr double kWarmUp = 3e-4;
constexpr double kTurn = 4e-3;
// How much two correct answers in single precision may differ, relative to their size. The tests
// compare ours with exact arithmetic and have a tighter bound.
constexpr double kAgree = 1e-5;

struct Timed {
  std::function<void()> run;
  double best = 1e30;  // seconds
};

void take_turn(Timed& timed, bool cpu_time) {
  std::this_thread::sleep_for(kRest);
  const Stopwatch warm_up;
  do {
    timed.run();
  } while (warm_up.seconds() < kWarmUp);
  const Stopwatch turn;
  do {
    const Stopwatch watch(cpu_time);
    timed.run();
    timed.best = std::min(timed.best, watch.seconds());
  } while (turn.seconds() < kTurn);
}

const char* name_of_pass(ConvPass pass) {
  return pass == ConvPass::kForward        ? "forward"
         : pass == ConvPass::kBackwardData ? "backward data"
                                           : "backward weights";
}

// The algorithm that a training step takes.
void run_ours(ConvProblem& p, ConvPass pass) {
  CpuBackend backend;
  const ConvArgs args{.stride = p.shape.stride, .padding = p.shape.padding};
  switch (pass) {
    case ConvPass::kForward:
      return backend.run(op::Conv2d{
          .args = args, .x = p.x, .w = p.w, .bias = &p.bias, .y = p.y, .training = true});
    case ConvPass::kBackwardData:
      return backend.run(
          op::Conv2dBackwardData{.args = args, .dy = p.dy, .w = p.w, .dx = p.dx, .training = true});
    case ConvPass::kBackwardWeights:
      return backend.run(op::Conv2dBackwardWeights{
          .args = args, .x = p.x, .dy = p.dy, .dw = p.dw, .dbias = &p.dbias});
  }
}

// The difference between the candidate's last answer and ours.
double disagreement(const ConvProblem& p, ConvPass pass, const OnednnCandidate& candidate) {
  const Tensor& ours = pass == ConvPass::kForward        ? p.y
                       : pass == ConvPass::kBackwardData ? p.dx
                                                         : p.dw;
  Tensor theirs = Tensor::full(ours.shape(), NAN), dbias = Tensor::full(p.dbias.shape(), NAN);
  candidate.result(&theirs, &dbias);
  const double error = relative_error(theirs, ours);
  if (pass != ConvPass::kBackwardWeights) return error;
  return std::max(error, relative_error(dbias, p.dbias));
}

double load() {
  double average = 0;
  getloadavg(&average, 1);
  return average;
}

// Ratios of one pass, or of one kind of kernel.
class Summary {
 public:
  void add(double ratio, const std::string& row) {
    if (ratio < lowest_) lowest_ = ratio, lowest_row_ = row;
    sum_of_logs_ += std::log(ratio);
    below_one_ += ratio < 1;
    ++count_;
  }
  void print(const std::string& title) const {
    if (count_ == 0) return;
    fmt::print("{:24} {:>5} {:7.2f}x {:>9} {:7.2f}x  {}\n", title, count_,
               std::exp(sum_of_logs_ / count_), below_one_, lowest_, lowest_row_);
  }

 private:
  int count_ = 0;
  int below_one_ = 0;
  double sum_of_logs_ = 0, lowest_ = 1e30;
  std::string lowest_row_;
};

}  // namespace

int versus_onednn(const std::vector<cpu::ConvShape>& shapes, const VersusOnednn& options) {
  constexpr ConvPass kPasses[] = {ConvPass::kForward, ConvPass::kBackwardData,
                                  ConvPass::kBackwardWeights};
  fmt::print("oneDNN {}, {} the reordering of weights, {} threads, load {:.1f} before\n",
             onednn_version(), options.reorder_weights ? "with" : "without", num_threads(), load());
  fmt::print("{:26} {:17} {:>9} {:13} {:>9} {:29} {:>7} {:>9}\n", "convolution", "pass", "ours ms",
             "by", "oneDNN ms", "by", "ratio", "differ by");
  std::map<std::pair<ConvPass, int64_t>, Summary> summaries;  // 0: every kernel
  Summary overall;
  std::map<std::string, int> forms, wins;
  double largest = 0;
  int wrong = 0, rows = 0;
  for (const cpu::ConvShape& shape : shapes) {
    const std::string name = name_of(shape);
    ConvProblem problem(shape);
    for (const ConvPass pass : kPasses) {
      std::vector<OnednnCandidate> candidates =
          onednn_candidates(problem, pass, options.reorder_weights);
      std::vector<Timed> timed = {{[&] { run_ours(problem, pass); }}};
      timed[0].run();
      double difference = 0;
      for (const OnednnCandidate& candidate : candidates) {
        candidate.run();
        const double error = disagreement(problem, pass, candidate);
        if (!(error <= kAgree)) {
          fmt::print("{} {}: oneDNN's {} ({}) differs by {:.1e}\n", name, name_of_pass(pass),
                     candidate.form, candidate.implementation, error);
          ++wrong;
        }
        difference = std::max(difference, error);
        timed.push_back({candidate.run});
        ++forms[candidate.form];
      }
      if (candidates.empty()) continue;
      const Stopwatch watch;
      do {
        for (Timed& one : timed) take_turn(one, options.cpu_time);
      } while (watch.seconds() < options.seconds * static_cast<double>(timed.size()));

      const auto best =
          std::min_element(timed.begin() + 1, timed.end(),
                           [](const Timed& a, const Timed& b) { return a.best < b.best; });
      const OnednnCandidate& winner = candidates[static_cast<size_t>(best - timed.begin() - 1)];
      const double ratio = best->best / timed[0].best;
      fmt::print("{:26} {:17} {:9.4f} {:13} {:9.4f} {:29} {:6.2f}x {:9.1e}\n", name,
                 name_of_pass(pass), 1e3 * timed[0].best,
                 cpu::name_of(conv_algorithm(shape, pass, true)), 1e3 * best->best,
                 fmt::format("{} {}", winner.form, winner.implementation), ratio, difference);
      std::fflush(stdout);
      const std::string row = fmt::format("{} {}", name, name_of_pass(pass));
      for (int64_t kernel : {int64_t{0}, shape.kernel_height}) {
        summaries[{pass, kernel}].add(ratio, row);
      }
      overall.add(ratio, row);
      largest = std::max(largest, difference);
      ++wins[winner.form];
      ++rows;
    }
  }
  fmt::print("\noneDNN's forms, how often they exist and are its fastest in {} rows:", rows);
  for (const char* form : {"nhwc", "any", "winograd"}) {
    const std::string exists =
        forms[form] ? fmt::format("{}, {}", forms[form], wins[form]) : "none";
    fmt::print(" {} {};", form, exists);
  }
  fmt::print(" the answers differ by at most {:.1e}; load {:.1f} after\n", largest, load());
  fmt::print("{:24} {:>5} {:>8} {:>9} {:>8}\n", "oneDNN's time / ours", "rows", "mean", "below 1x",
             "lowest");
  for (const auto& [key, summary] : summaries) {
    const auto [pass, kernel] = key;
    const std::string which = kernel > 0 ? fmt::format(", {0}x{0}", kernel) : "";
    summary.print(name_of_pass(pass) + which);
  }
  overall.print("overall");
  return wrong;
}

}  // namespace ddpm::bench
