// SOAP (Vyas et al. 2024, arXiv:2409.11321): Adam in the eigenbasis of Shampoo's preconditioner.
//
// A filter [kh, kw, C_in, C_out] has four axes, a matrix [in, out] the last two. Each axis has its
// own basis, so the order of the axes in memory makes no difference. An axis of one element, or of
// more than `limit`, keeps the basis of the unit vectors. Parameters without any other axis,
// biases, norms and embeddings among them, are updated by AdamW.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/optim/adam.h"
#include "ddpm/optim/soap_basis.h"

namespace ddpm {

struct SoapOptions {
  AdamOptions adam;
  // The bases are computed again after so many updates.
  int64_t every = 10;
  // The longest axis that gets a basis.
  int64_t limit = 512;
};

// For each axis, `gram` is the exponential average, by beta2, of the Gram matrices of the gradient,
// and `basis` an estimate of its eigenvectors. Adam's moments are those of the rotated gradient.
// The rotated update is Adam's, and is rotated back before it changes the weights.
//
// As in the code of the paper's authors (github.com/nikhilvyas/SOAP), weights decay after an update
// and not before it, and a parameter's first gradient only gives the first bases,
// by an eigendecomposition; the weights do not change, and the number of the step in Adam's
// corrections is one less. The bases change after an update (algorithm 4 of the paper: one step of
// power iteration, then a QR decomposition, with the columns in the order of their estimated
// eigenvalues, the largest first). The second moments go along with their columns. The first
// moments are kept rotated. They are rotated from the old basis to the new one, which equals the
// paper's form, where they are kept unrotated and rotated in every step.
class Soap : public PartlyAdam {
 public:
  Soap(std::vector<OptimizedParameter> parameters, const SoapOptions& options);

  // Adam's moments of the other parameters, "soap.m." and "soap.v.", and "soap.gram.AXIS." and
  // "soap.basis.AXIS." [n, n] for AXIS kh, kw, in and out. The columns of `basis` are the
  // eigenvectors.
  std::vector<StateTensor> state() const override;
  std::string describe() const override;

 protected:
  void apply(const std::vector<Tensor>& gradients, const AdamArgs& args) override;

 private:
  // The bases of one parameter.
  struct Rotation {
    std::vector<SoapBasis> bases;
  };
  void update(size_t k, const Tensor& gradient, const AdamArgs& args);
  void compute_bases(bool first);

  SoapOptions options_;
  AdamMoments rotated_;
  // One for each member of rotated_.
  std::vector<Rotation> rotations_;
};

}  // namespace ddpm
