// The fast backend for processors. It overrides what takes time with SIMD kernels (simd.h lists the
// instruction sets) and inherits the rest. Results do not depend on the number of threads, and the
// bits of an image do not depend on the other images of its batch.
#pragma once

#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {

class CpuBackend : public RefBackend {
 public:
  const char* name() const override { return "cpu"; }

  using RefBackend::run;
  void run(const op::Conv2d& o) override;
  void run(const op::Conv2dBackwardData& o) override;
  void run(const op::Conv2dBackwardWeights& o) override;
  void run(const op::WeightMoments& o) override;
  void run(const op::WeightStandardizeBackward& o) override;

  void run(const op::GroupNorm& o) override;
  void run(const op::GroupNormAgain& o) override;
  void run(const op::GroupNormBackward& o) override;

  void run(const op::RmsNorm& o) override;
  void run(const op::RmsNormBackward& o) override;

  void run(const op::Linear& o) override;
  void run(const op::LinearBackwardData& o) override;
  void run(const op::LinearBackwardWeights& o) override;

  void run(const op::Activate& o) override;
  void run(const op::ActivateBackward& o) override;
  void run(const op::Add& o) override;
  void run(const op::Combine& o) override;
  void run(const op::Clamp& o) override;

  void run(const op::Attention& o) override;
  void run(const op::AttentionBackward& o) override;
  void run(const op::LinearAttention& o) override;
  void run(const op::LinearAttentionBackward& o) override;
  void run(const op::ProjectedLinearAttention& o) override;
  void run(const op::ProjectedLinearAttentionBackward& o) override;

  void run(const op::SpaceToDepth& o) override;
  void run(const op::DepthToSpace& o) override;
  void run(const op::UpsampleNearest& o) override;
  void run(const op::UpsampleNearestBackward& o) override;
  void run(const op::ConcatChannels& o) override;
  void run(const op::SplitChannels& o) override;

  void run(const op::Normal& o) override;
  void run(const op::Dropout& o) override;
  void run(const op::Loss& o) override;
  void run(const op::LossBackward& o) override;
  void run(const op::SumOfSquares& o) override;
  void run(const op::Adam& o) override;
  void run(const op::MoveAverages& o) override;

  std::string algorithm(const op::Conv2d& o) const override;
  std::string algorithm(const op::Conv2dBackwardData& o) const override;
  std::string algorithm(const op::Conv2dBackwardWeights& o) const override;
  int64_t prepared_bytes(const op::Conv2d& o) const override;
};

}  // namespace ddpm
