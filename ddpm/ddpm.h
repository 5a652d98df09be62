// Includes all public headers. Models, sampling and pictures are in ddpm::ddpm. Programs that
// train (engine/run/run.h) link ddpm::train.
#pragma once

#include "ddpm/base/error.h"
#include "ddpm/base/json.h"
#include "ddpm/base/options.h"
#include "ddpm/data/pictures.h"
#include "ddpm/data/pixels.h"
#include "ddpm/diffusion/process_config.h"
#include "ddpm/diffusion/sampler_options.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/model_config.h"
#include "ddpm/engine/run/run.h"
#include "ddpm/engine/train_options.h"
#include "ddpm/engine/training_plan.h"
#include "ddpm/engine/training_recipe.h"
#include "ddpm/nn/network_config.h"
#include "ddpm/nn/network_size.h"
#include "ddpm/optim/update_options.h"
#include "ddpm/tensor/device.h"
#include "ddpm/tensor/shape.h"
#include "ddpm/tensor/tensor.h"
