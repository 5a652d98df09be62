#include "ddpm/comm/ranks.h"

#include <fmt/core.h>

#include "ddpm/base/error.h"
#include "ddpm/comm/mpi_plugin.h"
#include "ddpm/comm/plugin_file.h"

namespace ddpm {

Ranks::Ranks(const RanksOptions& options) : launch_(read_launch(options.environment)) {
  if (launch_.size == 1) {
    communicator_ = communicator_single();
    return;
  }
  plugin_ = &load_plugin(plugin_places(options.environment));
  world_ = plugin_->open(options.largest_call);
  if (world_->size() != launch_.size)
    fail("ranks", fmt::format("{} started {} ranks, but {} sees {}", launch_.launcher, launch_.size,
                              plugin_->mpi, world_->size()));
  communicator_ = world_->duplicate();
}

Ranks::~Ranks() = default;

void Ranks::close() {
  if (plugin_ == nullptr) return;
  communicator_.reset();
  world_.reset();
  plugin_->close();
}

}  // namespace ddpm
