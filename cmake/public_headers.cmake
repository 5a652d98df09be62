# The installed headers: ddpm/ddpm.h and at most 20 others. The list must contain every header that one of them includes,
# and ddpm/ddpm.h must include them all. tests/package checks this.
set(DDPM_PUBLIC_HEADERS
  ddpm/ddpm.h
  ddpm/base/error.h
  ddpm/base/json.h
  ddpm/base/options.h
  ddpm/data/pictures.h
  ddpm/data/pixels.h
  ddpm/diffusion/process_config.h
  ddpm/diffusion/sampler_options.h
  ddpm/engine/generator.h
  ddpm/engine/model.h
  ddpm/engine/model_config.h
  ddpm/engine/run/run.h
  ddpm/engine/train_options.h
  ddpm/engine/training_plan.h
  ddpm/engine/training_recipe.h
  ddpm/nn/network_config.h
  ddpm/nn/network_size.h
  ddpm/optim/update_options.h
  ddpm/tensor/device.h
  ddpm/tensor/shape.h
  ddpm/tensor/tensor.h)
