// Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon): the momentum of each matrix
// is replaced by the nearest matrix whose singular values are all one.
//
// A filter is treated as the matrix [C_out, C_in * kh * kw] of PyTorch's order. In memory it is
// [kh * kw * C_in, C_out]: the transpose of that matrix with its columns in another order. Both
// give the same update, because orthogonalization commutes with transposing and with permuting
// rows or columns.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/optim/adam.h"

namespace ddpm {

struct MuonOptions {
  // Of the parameters that Adam updates. The learning rate and the weight decay are those of all.
  AdamOptions adam;
  double momentum = 0.95;
};

// U V^T for x = U S V^T [rows, columns], roughly: five steps of the Newton-Schulz iteration
//   X <- a X + b (X X^T) X + c (X X^T)^2 X
// with Jordan's a, b, c = 3.4445, -4.7750, 2.0315, from x / (||x|| + 1e-7). Singular values above
// about a hundredth of ||x|| come to lie between 0.7 and 1.2. In float32.
Tensor orthogonalized(const Tensor& x);

// Muon for matrices and filters between the first and the last layer, Adam with the same decay for
// the rest. M <- momentum * M + G; the update is orthogonalized(G + momentum * M) (Nesterov's
// form), times learning_rate * 0.2 * sqrt(max(C_out, C_in * kh * kw)). The factor gives updates the
// size that those of AdamW usually have, so that one learning rate and one decay serve all
// parameters (Liu et al. 2025, arXiv:2502.16982, section 2.2).
class Muon : public PartlyAdam {
 public:
  Muon(std::vector<OptimizedParameter> parameters, const MuonOptions& options);

  // Adam's moments, and "muon.momentum.".
  std::vector<StateTensor> state() const override;
  std::string describe() const override;

 protected:
  void apply(const std::vector<Tensor>& gradients, const AdamArgs& args) override;

 private:
  double momentum_;
  std::vector<size_t> members_;
  std::vector<Tensor> momenta_;
};

}  // namespace ddpm
