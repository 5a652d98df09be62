// Every operation of the project. Each is declared once, as a struct in a file of operations/: what
// it reads, what it writes, what it computes. A call names its tensors:
//
//   backend.run(op::Add{.a = a, .b = b, .y = y});
//
// Conventions. Images and activations are [N, H, W, C], convolution weights [kh, kw, C, K], linear
// weights [in, out]; all are float32 and dense. The caller allocates every output and checks all
// sizes (autograd/ does both). Outputs never share storage with inputs unless the operation says
// so. A member that is a pointer may be null: an input that is absent, or an output that is not
// wanted. Gradients are called d<name>; they are written, not added. Results do not depend on the
// number of threads.
//
// Each operation has kName, which is what a profile calls it, and may have more:
//
//   flops()   floating-point operations of its products, a multiply-add being two (default: 0);
//   label()   a name for profiles that depends on its arguments (default: kName);
//   shape()   the size of its work, for people (default: the extents of x).
#pragma once

#include "ddpm/kernels/operations/attention.h"
#include "ddpm/kernels/operations/conv.h"
#include "ddpm/kernels/operations/elementwise.h"
#include "ddpm/kernels/operations/group_norm.h"
#include "ddpm/kernels/operations/linear.h"
#include "ddpm/kernels/operations/reshape.h"
#include "ddpm/kernels/operations/rms_norm.h"
#include "ddpm/kernels/operations/training.h"

// F(Name) for every operation. Backends declare one run() for each name with it, so the compiler
// tells which a backend lacks. It is a macro because a template that declares the methods of a
// class from a list needs a base class for each, and all their names would fill every error
// message.
#define DDPM_FOR_EACH_OPERATION(F) \
  DDPM_CONV_OPERATIONS(F)          \
  DDPM_LINEAR_OPERATIONS(F)        \
  DDPM_GROUP_NORM_OPERATIONS(F)    \
  DDPM_RMS_NORM_OPERATIONS(F)      \
  DDPM_ELEMENTWISE_OPERATIONS(F)   \
  DDPM_ATTENTION_OPERATIONS(F)     \
  DDPM_RESHAPE_OPERATIONS(F)       \
  DDPM_TRAINING_OPERATIONS(F)
