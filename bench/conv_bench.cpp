// Times every pass of the convolutions in bench/shapes, after checking the answer against
// kernels/ref. Prints milliseconds, GFLOP/s (padding counts like data, for every algorithm), the
// share of the peak that a loop of multiply-adds in registers reaches on as many threads, and the
// speed relative to the direct convolution. A star marks the algorithm that conv_select.cpp chooses
// in a training step. All figures are minima over many short runs. The loop is measured between
// them, because the clock and the load of the machine change within seconds.
//
//   bench_conv [--threads N] [--shapes FILE]... [--filter TEXT] [--seconds S per cell] [--no-check]
//              [--cpu-time] [--onednn [--reorder-weights]]
//
// --shapes names other files. --onednn instead compares the algorithms that conv_select.cpp chooses
// with oneDNN (versus_onednn.h).
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "bench/conv_problem.h"
#include "bench/conv_shapes.h"
#include "bench/fma_loop.h"
#include "bench/onednn.h"
#include "bench/stopwatch.h"
#include "bench/versus_onednn.h"
#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/conv/conv.h"
#include "ddpm/kernels/cpu/ops/conv_select.h"
#include "ddpm/kernels/cpu/simd/simd.h"
#include "ddpm/kernels/cpu/winograd/winograd.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm::bench {
namespace {

using cpu::ConvShape;

struct Options {
  int threads = num_threads();
  std::vector<std::string> files;
  std::string filter;
  double seconds = 0.2;
  bool check = true;
  bool cpu_time = false;
  bool onednn = false;
  bool reorder_weights = false;
};

// One way to compute a pass.
struct Candidate {
  std::string name;
  std::function<void()> run;
  double best = 1e30;  // seconds
};

struct Pass {
  ConvPass pass;
  const char* name;
  std::vector<Candidate> candidates;
  // The error of the last run's result, against ref.
  std::function<double()> error;
};

std::vector<Pass> passes(const ConvShape& s, ConvProblem& b) {
  const ConvArgs args{.stride = s.stride, .padding = s.padding};
  Pass forward{
      ConvPass::kForward, "forward", {}, [&b, args] {
        Tensor y(b.y.shape());
        RefBackend().run(op::Conv2d{.args = args, .x = b.x, .w = b.w, .bias = &b.bias, .y = y});
        return relative_error(b.y, y);
      }};
  Pass data{
      ConvPass::kBackwardData, "data", {}, [&b, args] {
        Tensor dx(b.dx.shape());
        RefBackend().run(op::Conv2dBackwardData{.args = args, .dy = b.dy, .w = b.w, .dx = dx});
        return relative_error(b.dx, dx);
      }};
  Pass weights{ConvPass::kBackwardWeights, "weights", {}, [&b, args] {
                 Tensor dw(b.dw.shape()), dbias(b.dbias.shape());
                 RefBackend().run(op::Conv2dBackwardWeights{
                     .args = args, .x = b.x, .dy = b.dy, .dw = dw, .dbias = &dbias});
                 return std::max(relative_error(b.dw, dw), relative_error(b.dbias, dbias));
               }};
  forward.candidates.push_back(
      {"direct", [&s, &b] { conv_direct(s, b.x.f32(), b.w.f32(), b.bias.f32(), b.y.f32()); }});
  data.candidates.push_back(
      {"direct", [&s, &b] { conv_direct_backward_data(s, b.dy.f32(), b.w.f32(), b.dx.f32()); }});
  weights.candidates.push_back({"direct", [&s, &b] {
                                  conv_direct_backward_weights(s, b.x.f32(), b.dy.f32(), b.dw.f32(),
                                                               b.dbias.f32());
                                }});
  for (int64_t m : {4, 2}) {
    if (!winograd_applies(s)) break;
    const std::string name = fmt::format("winograd F({})", m);
    forward.candidates.push_back(
        {name, [&s, &b, m] {
           conv_winograd(m, s, {b.x.f32(), s.channels}, {b.w.f32()}, b.bias.f32(), b.y.f32());
         }});
    data.candidates.push_back(
        {name, [&s, &b, m] {
           conv_winograd_backward_data(m, s, b.dy.f32(), {b.w.f32()}, {b.dx.f32(), s.channels});
         }});
    weights.candidates.push_back({name, [&s, &b, m] {
                                    conv_winograd_backward_weights(m, s, {b.x.f32(), s.channels},
                                                                   b.dy.f32(), b.dw.f32(),
                                                                   b.dbias.f32());
                                  }});
  }
  return {forward, data, weights};
}

// GFLOP/s of the register loop on all threads at once.
double peak_sample(int threads) {
  std::vector<double> flops(static_cast<size_t>(threads));
  const Stopwatch watch;
  parallel_for(threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) flops[static_cast<size_t>(i)] = run_fma_loop();
  });
  const double seconds = watch.seconds();
  double total = 0;
  for (double f : flops) total += f;
  return total / seconds * 1e-9;
}

// Returns the number of wrong answers.
int table(const std::vector<ConvShape>& shapes, const Options& options) {
  double peak = 0;
  for (const Stopwatch watch; watch.seconds() < 0.5;) {
    peak = std::max(peak, peak_sample(options.threads));
  }
  fmt::print("{} thread(s), {}, register loop {:.1f} GFLOP/s\n", options.threads, simd_name(),
             peak);
  fmt::print("{:26} {:8} {:15} {:>9} {:>9} {:>7} {:>8} {:>9}\n", "convolution", "pass", "by", "ms",
             "GFLOP/s", "share", "speed-up", "error");
  int wrong = 0;
  for (const ConvShape& shape : shapes) {
    const std::string name = name_of(shape);
    ConvProblem problem(shape);
    for (Pass& pass : passes(shape, problem)) {
      const std::string chosen = name_of(conv_algorithm(shape, pass.pass, true));
      std::vector<double> errors;
      for (Candidate& candidate : pass.candidates) {
        candidate.run();
        errors.push_back(options.check ? pass.error() : 0);
      }
      const double seconds = options.seconds * static_cast<double>(pass.candidates.size());
      for (const Stopwatch watch; watch.seconds() < seconds;) {
        for (Candidate& candidate : pass.candidates) {
          const Stopwatch stopwatch(options.cpu_time);
          candidate.run();
          candidate.best = std::min(candidate.best, stopwatch.seconds());
        }
        peak = std::max(peak, peak_sample(options.threads));
      }
      for (size_t i = 0; i < pass.candidates.size(); ++i) {
        const Candidate& candidate = pass.candidates[i];
        const double rate = shape.flops() / candidate.best * 1e-9;
        fmt::print("{:26} {:8} {:15} {:9.3f} {:9.1f} {:6.1f}% {:7.2f}x {:9.1e}\n", name, pass.name,
                   candidate.name == chosen ? candidate.name + " *" : candidate.name,
                   candidate.best * 1e3, rate, 100 * rate / peak,
                   pass.candidates[0].best / candidate.best, errors[i]);
        if (!(errors[i] < 5e-6)) ++wrong;
      }
      std::fflush(stdout);
    }
  }
  fmt::print("register loop at the end {:.1f} GFLOP/s\n", peak);
  return wrong;
}

int run(Options options, char** argv) {
  if (options.onednn && !have_onednn()) {
    fmt::print(stderr,
               "this bench_conv was built without oneDNN (package libdnnl-dev); "
               "comparing our own algorithms\n");
    options.onednn = false;
  }
  if (options.onednn) restart_for_onednn(options.threads, argv);
  set_num_threads(options.threads);
  if (options.files.empty()) {
    options.files = {DDPM_BENCH_SHAPES "/networks.txt", DDPM_BENCH_SHAPES "/odd.txt"};
  }
  std::vector<ConvShape> shapes = read_shapes(options.files);
  std::erase_if(shapes, [&](const ConvShape& shape) {
    return name_of(shape).find(options.filter) == std::string::npos;
  });
  const int wrong = options.onednn
                        ? versus_onednn(shapes, {.seconds = options.seconds,
                                                 .reorder_weights = options.reorder_weights,
                                                 .cpu_time = options.cpu_time})
                        : table(shapes, options);
  if (wrong) fmt::print("{} answers are wrong\n", wrong);
  return wrong ? 1 : 0;
}

}  // namespace
}  // namespace ddpm::bench

int main(int argc, char** argv) try {
  ddpm::bench::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--no-check") {
      options.check = false;
    } else if (flag == "--cpu-time") {
      options.cpu_time = true;
    } else if (flag == "--onednn") {
      options.onednn = true;
    } else if (flag == "--reorder-weights") {
      options.reorder_weights = true;
    } else if (i + 1 == argc) {
      fmt::print(stderr, "unknown option {}, or its value is absent\n", flag);
      return 2;
    } else if (flag == "--threads") {
      options.threads = std::atoi(argv[++i]);
    } else if (flag == "--shapes") {
      options.files.emplace_back(argv[++i]);
    } else if (flag == "--filter") {
      options.filter = argv[++i];
    } else if (flag == "--seconds") {
      options.seconds = std::atof(argv[++i]);
    } else {
      fmt::print(stderr, "unknown option {}\n", flag);
      return 2;
    }
  }
  return ddpm::bench::run(options, argv);
} catch (const std::exception& error) {
  std::fputs(error.what(), stderr);
  std::fputc('\n', stderr);
  return 1;
}
