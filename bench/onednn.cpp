#include "bench/onednn.h"

#include <fmt/core.h>
#include <unistd.h>
#include <dnnl.hpp>

#include <cstdlib>
#include <optional>
#include <unordered_map>
#include <utility>

namespace ddpm::bench {
namespace {

using dnnl::algorithm;
using dnnl::memory;
using dnnl::prop_kind;
using Arguments = std::unordered_map<int, memory>;
using Tag = memory::format_tag;

dnnl::engine& engine() {
  static dnnl::engine instance(dnnl::engine::kind::cpu, 0);
  return instance;
}

dnnl::stream& stream() {
  static dnnl::stream instance(engine());
  return instance;
}

memory::desc describe(const memory::dims& dims, Tag tag) {
  return {dims, memory::data_type::f32, tag};
}

// Our tensors described to oneDNN, whose dimensions are NCHW and OIHW for every layout.
struct Ours {
  Ours(const ConvProblem& problem, bool reorder) : p(problem), reorder_weights(reorder) {}

  // Weights as users of oneDNN have them. From our HWIO it would reorder slowly.
  memory plain_weights() const { return {describe(w, Tag::oihw), engine()}; }

  const ConvProblem& p;
  bool reorder_weights;
  const cpu::ConvShape& s = p.shape;
  memory::dims x = {s.batch, s.channels, s.height, s.width};
  memory::dims w = {s.outputs, s.channels, s.kernel_height, s.kernel_width};
  memory::dims y = {s.batch, s.outputs, s.out_height(), s.out_width()};
  memory::dims strides = {s.stride, s.stride};
  memory::dims before = {s.padding, s.padding};
  memory::dims after = {(s.out_height() - 1) * s.stride + s.kernel_height - s.height - s.padding,
                        (s.out_width() - 1) * s.stride + s.kernel_width - s.width - s.padding};
  memory::desc bias = describe({s.outputs}, Tag::a);
};

// Copies between a tensor of ours and a memory object of oneDNN.
void bring_in(const Tensor& from, const memory::dims& dims, Tag tag, memory& to) {
  memory ours(describe(dims, tag), engine(), const_cast<float*>(from.f32()));
  dnnl::reorder(ours, to).execute(stream(), ours, to);
  stream().wait();
}

void bring_out(memory from, const memory::dims& dims, Tag tag, Tensor& to) {
  memory ours(describe(dims, tag), engine(), to.f32());
  dnnl::reorder(from, ours).execute(stream(), from, ours);
  stream().wait();
}

// One primitive after the other.
class Steps {
 public:
  void add(const dnnl::primitive& primitive, const Arguments& arguments) {
    steps_.emplace_back(primitive, arguments);
  }
  void add_reorder(const memory& from, const memory& to) {
    if (from.get_desc() == to.get_desc()) return;
    add(dnnl::reorder(from, to), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
  }
  void operator()() const {
    for (const auto& [primitive, arguments] : steps_) primitive.execute(stream(), arguments);
    stream().wait();
  }

 private:
  std::vector<std::pair<dnnl::primitive, Arguments>> steps_;
};

struct Form {
  const char* name;
  algorithm kind;
  Tag activations;
};

std::optional<dnnl::convolution_forward::primitive_desc> forward_plan(const Ours& o,
                                                                      const Form& form) {
  const dnnl::convolution_forward::desc d(prop_kind::forward_training, form.kind,
                                          describe(o.x, form.activations), describe(o.w, Tag::any),
                                          o.bias, describe(o.y, form.activations), o.strides,
                                          o.before, o.after);
  dnnl::convolution_forward::primitive_desc plan(d, engine(), true);
  if (!plan) return {};
  return plan;
}

std::optional<OnednnCandidate> forward(const Ours& o, const Form& form) {
  const auto plan = forward_plan(o, form);
  if (!plan) return {};
  memory x(plan->src_desc(), engine()), w(plan->weights_desc(), engine());
  memory bias(plan->bias_desc(), engine()), y(plan->dst_desc(), engine());
  bring_in(o.p.x, o.x, Tag::nhwc, x);
  bring_in(o.p.w, o.w, Tag::hwio, w);
  bring_in(o.p.bias, {o.s.outputs}, Tag::a, bias);
  Steps steps;
  if (o.reorder_weights) {
    memory plain = o.plain_weights();
    bring_in(o.p.w, o.w, Tag::hwio, plain);
    steps.add_reorder(plain, w);
  }
  steps.add(dnnl::convolution_forward(*plan),
            {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_BIAS, bias}, {DNNL_ARG_DST, y}});
  return OnednnCandidate{
      form.name, plan->impl_info_str(), steps,
      [y, dims = o.y](Tensor* out, Tensor*) { bring_out(y, dims, Tag::nhwc, *out); }};
}

std::optional<OnednnCandidate> backward_data(const Ours& o, const Form& form) {
  const auto hint = forward_plan(o, form);
  if (!hint) return {};
  const dnnl::convolution_backward_data::desc d(
      form.kind, describe(o.x, form.activations), describe(o.w, Tag::any),
      describe(o.y, form.activations), o.strides, o.before, o.after);
  const dnnl::convolution_backward_data::primitive_desc plan(d, engine(), *hint, true);
  if (!plan) return {};
  memory dx(plan.diff_src_desc(), engine()), w(plan.weights_desc(), engine());
  memory dy(plan.diff_dst_desc(), engine());
  bring_in(o.p.w, o.w, Tag::hwio, w);
  bring_in(o.p.dy, o.y, Tag::nhwc, dy);
  Steps steps;
  if (o.reorder_weights) {
    memory plain = o.plain_weights();
    bring_in(o.p.w, o.w, Tag::hwio, plain);
    steps.add_reorder(plain, w);
  }
  steps.add(dnnl::convolution_backward_data(plan),
            {{DNNL_ARG_DIFF_SRC, dx}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DIFF_DST, dy}});
  return OnednnCandidate{
      form.name, plan.impl_info_str(), steps,
      [dx, dims = o.x](Tensor* out, Tensor*) { bring_out(dx, dims, Tag::nhwc, *out); }};
}

std::optional<OnednnCandidate> backward_weights(const Ours& o, const Form& form) {
  const auto hint = forward_plan(o, form);
  if (!hint) return {};
  const dnnl::convolution_backward_weights::desc d(
      form.kind, describe(o.x, form.activations), describe(o.w, Tag::any), o.bias,
      describe(o.y, form.activations), o.strides, o.before, o.after);
  const dnnl::convolution_backward_weights::primitive_desc plan(d, engine(), *hint, true);
  if (!plan) return {};
  memory x(plan.src_desc(), engine()), dy(plan.diff_dst_desc(), engine());
  memory dw(plan.diff_weights_desc(), engine()), dbias(plan.diff_bias_desc(), engine());
  bring_in(o.p.x, o.x, Tag::nhwc, x);
  bring_in(o.p.dy, o.y, Tag::nhwc, dy);
  Steps steps;
  steps.add(dnnl::convolution_backward_weights(plan), {{DNNL_ARG_SRC, x},
                                                       {DNNL_ARG_DIFF_DST, dy},
                                                       {DNNL_ARG_DIFF_WEIGHTS, dw},
                                                       {DNNL_ARG_DIFF_BIAS, dbias}});
  if (o.reorder_weights) steps.add_reorder(dw, o.plain_weights());
  return OnednnCandidate{form.name, plan.impl_info_str(), steps,
                         [dw, dbias, dims = o.w](Tensor* out, Tensor* out_bias) {
                           bring_out(dw, dims, Tag::hwio, *out);
                           bring_out(dbias, {dims[0]}, Tag::a, *out_bias);
                         }};
}

}  // namespace

bool have_onednn() { return true; }

std::string onednn_version() {
  const dnnl_version_t* v = dnnl::version();
  return fmt::format("{}.{}.{}", v->major, v->minor, v->patch);
}

void restart_for_onednn(int threads, char** argv) {
  constexpr const char* kDone = "DDPM_BENCH_RESTARTED";
  if (std::getenv(kDone)) return;
  setenv(kDone, "1", 1);
  setenv("OMP_NUM_THREADS", std::to_string(threads).c_str(), 1);
  setenv("OMP_DYNAMIC", "false", 1);
  unsetenv("OMP_WAIT_POLICY");
  setenv("GOMP_SPINCOUNT", "10000", 1);
  setenv("KMP_BLOCKTIME", "1", 1);
  execv("/proc/self/exe", argv);
}

std::vector<OnednnCandidate> onednn_candidates(const ConvProblem& problem, ConvPass pass,
                                               bool reorder_weights) {
  const Ours ours(problem, reorder_weights);
  std::vector<OnednnCandidate> all;
  for (const Form& form : {Form{"nhwc", algorithm::convolution_direct, Tag::nhwc},
                           Form{"any", algorithm::convolution_direct, Tag::any},
                           Form{"winograd", algorithm::convolution_winograd, Tag::any}}) {
    std::optional<OnednnCandidate> made;
    try {
      made = pass == ConvPass::kForward        ? forward(ours, form)
             : pass == ConvPass::kBackwardData ? backward_data(ours, form)
                                               : backward_weights(ours, form);
    } catch (const dnnl::error& error) {
      if (error.status != dnnl_unimplemented) throw;
    }
    if (made) all.push_back(std::move(*made));
  }
  return all;
}

}  // namespace ddpm::bench
