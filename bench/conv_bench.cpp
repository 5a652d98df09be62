// Times the convolutions of the networks that we care about, each pass, after checking the answer
// against kernels/ref: milliseconds, GFLOP/s (padding counted like data, for every algorithm
// alike), the share of what a register-only loop of multiply-adds reaches on as many threads, and
// the speed relative to the direct convolution. A star marks what conv_select.cpp takes. Minima
// over many short runs, the loop interleaved, because clocks and neighbours change within seconds.
//
//   bench_conv [--threads N] [--filter TEXT] [--seconds S per cell] [--no-check] [--cpu-time]
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "bench/fma_loop.h"
#include "ddpm/base/philox.h"
#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/conv.h"
#include "ddpm/kernels/cpu/conv_select.h"
#include "ddpm/kernels/cpu/simd.h"
#include "ddpm/kernels/cpu/winograd.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm::bench {
namespace {

using cpu::ConvShape;

struct Options {
  int threads = num_threads();
  std::string filter;
  double seconds = 0.2;
  bool check = true;
  bool cpu_time = false;
};

double wall() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The calling thread's own time: what to look at on one thread of a machine that others use too,
// for runs too long to fit between two of their turns.
constexpr double kTimeSlice = 1e-3;
double cpu_time() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

ConvShape layer(int64_t batch, int64_t channels, int64_t outputs, int64_t size, int64_t kernel,
                int64_t stride = 1) {
  return {.batch = batch,
          .height = size,
          .width = size,
          .channels = channels,
          .kernel_height = kernel,
          .kernel_width = kernel,
          .outputs = outputs,
          .stride = stride,
          .padding = kernel / 2};
}

std::string name_of(const ConvShape& s) {
  return fmt::format("{}x{} {}->{} @{}{} n{}", s.kernel_height, s.kernel_width, s.channels,
                     s.outputs, s.height, s.stride > 1 ? fmt::format(" /{}", s.stride) : "",
                     s.batch);
}

std::vector<ConvShape> shapes() {
  std::vector<ConvShape> all;
  for (auto [n, c, k, size] : std::vector<std::array<int64_t, 4>>{
           {8, 64, 64, 32},   {8, 128, 64, 32},  {8, 128, 128, 16}, {8, 256, 128, 16},
           {8, 256, 256, 8},  {8, 512, 256, 8},  {8, 512, 512, 4},  {32, 512, 512, 4},
           {16, 512, 512, 4}, {8, 128, 128, 4},  {1, 128, 128, 4},  {8, 256, 256, 4},
           {1, 256, 256, 4},  {1, 256, 256, 8},  {8, 768, 512, 4},  {1, 64, 64, 32},
           {4, 64, 64, 64},   {1, 128, 128, 16}, {1, 512, 512, 4},  {32, 32, 32, 32},
           {32, 64, 32, 32},  {32, 128, 64, 8},  {8, 96, 80, 20},   {8, 16, 16, 32},
           {8, 64, 16, 32},   {8, 128, 128, 5},  {8, 128, 128, 6},  {8, 128, 128, 7}}) {
    all.push_back(layer(n, c, k, size, 3));
  }
  for (auto [n, c, k, size] : std::vector<std::array<int64_t, 4>>{{8, 3, 64, 32},
                                                                  {8, 64, 3, 32},
                                                                  {8, 64, 384, 32},
                                                                  {8, 128, 64, 32},
                                                                  {8, 256, 128, 16},
                                                                  {8, 1024, 512, 4},
                                                                  {8, 512, 384, 4}}) {
    all.push_back(layer(n, c, k, size, 1));
  }
  all.push_back(layer(8, 3, 64, 32, 3));
  all.push_back(layer(8, 3, 64, 32, 7));
  all.push_back(layer(8, 64, 128, 32, 3, 2));
  return all;
}

struct Buffers {
  explicit Buffers(const ConvShape& s)
      : x({s.batch, s.height, s.width, s.channels}),
        w({s.kernel_height, s.kernel_width, s.channels, s.outputs}),
        bias({s.outputs}),
        y({s.batch, s.out_height(), s.out_width(), s.outputs}),
        dy(y.shape()),
        dx(x.shape()),
        dw(w.shape()),
        dbias(bias.shape()) {
    uint64_t seed = 0;
    for (Tensor* tensor : {&x, &w, &bias, &dy}) {
      Philox(seed++).normal(0, tensor->elements(), tensor->f32());
    }
  }
  Tensor x, w, bias, y, dy, dx, dw, dbias;
};

double relative_error(const Tensor& a, const Tensor& b) {
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < b.elements(); ++i) {
    const double d = double{a.f32()[i]} - b.f32()[i];
    difference += d * d;
    norm += double{b.f32()[i]} * b.f32()[i];
  }
  return std::sqrt(difference / norm);
}

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
  std::function<double()> error;  // of what the last run left, against ref
};

std::vector<Pass> passes(const ConvShape& s, Buffers& b) {
  const ConvArgs args{.stride = s.stride, .padding = s.padding};
  Pass forward{ConvPass::kForward, "forward", {}, [&b, args] {
                 Tensor y(b.y.shape());
                 RefBackend().conv2d(args, b.x, b.w, &b.bias, y);
                 return relative_error(b.y, y);
               }};
  Pass data{ConvPass::kBackwardData, "data", {}, [&b, args] {
              Tensor dx(b.dx.shape());
              RefBackend().conv2d_backward_data(args, b.dy, b.w, dx);
              return relative_error(b.dx, dx);
            }};
  Pass weights{ConvPass::kBackwardWeights, "weights", {}, [&b, args] {
                 Tensor dw(b.dw.shape()), dbias(b.dbias.shape());
                 RefBackend().conv2d_backward_weights(args, b.x, b.dy, dw, &dbias);
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
        {name,
         [&s, &b, m] { conv_winograd(m, s, b.x.f32(), b.w.f32(), b.bias.f32(), b.y.f32()); }});
    data.candidates.push_back(
        {name,
         [&s, &b, m] { conv_winograd_backward_data(m, s, b.dy.f32(), b.w.f32(), b.dx.f32()); }});
    weights.candidates.push_back({name, [&s, &b, m] {
                                    conv_winograd_backward_weights(m, s, b.x.f32(), b.dy.f32(),
                                                                   b.dw.f32(), b.dbias.f32());
                                  }});
  }
  return {forward, data, weights};
}

// GFLOP/s of the register loop on all threads at once.
double peak_sample(int threads) {
  std::vector<double> flops(static_cast<size_t>(threads));
  const double start = wall();
  parallel_for(threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) flops[static_cast<size_t>(i)] = run_fma_loop();
  });
  const double seconds = wall() - start;
  double total = 0;
  for (double f : flops) total += f;
  return total / seconds * 1e-9;
}

int run(const Options& options) {
  set_num_threads(options.threads);
  double peak = 0;
  for (double end = wall() + 0.5; wall() < end;) {
    peak = std::max(peak, peak_sample(options.threads));
  }
  fmt::print("{} thread(s), {}, register loop {:.1f} GFLOP/s\n", options.threads, simd_name(),
             peak);
  fmt::print("{:22} {:8} {:15} {:>9} {:>9} {:>7} {:>8} {:>9}\n", "convolution", "pass", "by", "ms",
             "GFLOP/s", "share", "speed-up", "error");
  int wrong = 0;
  for (const ConvShape& shape : shapes()) {
    const std::string name = name_of(shape);
    if (name.find(options.filter) == std::string::npos) continue;
    Buffers buffers(shape);
    for (Pass& pass : passes(shape, buffers)) {
      const std::string chosen = name_of(conv_algorithm(shape, pass.pass));
      std::vector<double> errors;
      for (Candidate& candidate : pass.candidates) {
        candidate.run();
        errors.push_back(options.check ? pass.error() : 0);
      }
      const double seconds = options.seconds * static_cast<double>(pass.candidates.size());
      for (double end = wall() + seconds; wall() < end;) {
        for (Candidate& candidate : pass.candidates) {
          const double start = wall(), cpu_start = cpu_time();
          candidate.run();
          const double used = cpu_time() - cpu_start, elapsed = wall() - start;
          candidate.best =
              std::min(candidate.best, options.cpu_time && used > kTimeSlice ? used : elapsed);
        }
        peak = std::max(peak, peak_sample(options.threads));
      }
      for (size_t i = 0; i < pass.candidates.size(); ++i) {
        const Candidate& candidate = pass.candidates[i];
        const double rate = shape.flops() / candidate.best * 1e-9;
        fmt::print("{:22} {:8} {:15} {:9.3f} {:9.1f} {:6.1f}% {:7.2f}x {:9.1e}\n", name, pass.name,
                   candidate.name == chosen ? candidate.name + " *" : candidate.name,
                   candidate.best * 1e3, rate, 100 * rate / peak,
                   pass.candidates[0].best / candidate.best, errors[i]);
        if (!(errors[i] < 5e-6)) ++wrong;
      }
      std::fflush(stdout);
    }
  }
  fmt::print("register loop at the end {:.1f} GFLOP/s\n", peak);
  if (wrong) fmt::print("{} answers are wrong\n", wrong);
  return wrong ? 1 : 0;
}

}  // namespace
}  // namespace ddpm::bench

int main(int argc, char** argv) {
  ddpm::bench::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (flag == "--no-check") {
      options.check = false;
      continue;
    }
    if (flag == "--cpu-time") {
      options.cpu_time = true;
      continue;
    }
    ++i;
    if (flag == "--threads") {
      options.threads = std::atoi(value);
    } else if (flag == "--filter") {
      options.filter = value;
    } else if (flag == "--seconds") {
      options.seconds = std::atof(value);
    } else {
      fmt::print(stderr, "unknown option {}\n", flag);
      return 2;
    }
  }
  return ddpm::bench::run(options);
}
