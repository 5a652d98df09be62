// The only table that knows every family of networks. A family is a folder beside this file and a
// row of this table.
#include <algorithm>

#include "ddpm/nn/lucidrains/options.h"
#include "ddpm/nn/lucidrains/recognise.h"
#include "ddpm/nn/network.h"
#include "ddpm/nn/tutorial/options.h"
#include "ddpm/nn/tutorial/recognise.h"

namespace ddpm {

const std::vector<NetworkFamily>& network_families() {
  static const std::vector<NetworkFamily> families = {
      {tutorial::UnetConfig::kFamily, "the U-Net of the tutorial",
       [] { return NetworkConfig(tutorial::UnetConfig{}); }, tutorial::recognise},
      {lucidrains::UnetConfig::kFamily, "the U-Net of lucidrains/denoising-diffusion-pytorch 2.3.1",
       [] { return NetworkConfig(lucidrains::UnetConfig{}); }, lucidrains::recognise},
  };
  return families;
}

NetworkConfig::NetworkConfig() : NetworkConfig(network_families().front().defaults()) {}

void NetworkConfig::fields(Fields& field) {
  for (const NetworkFamily& family : network_families()) {
    if (family.name == family_ && held_->family() != family_) held_ = family.defaults().held_;
  }
  field.group("The network");
  std::vector<std::string> names = network_names();
  // A program may hold a network of a family that is not in the table.
  if (held_->family() == family_ && std::find(names.begin(), names.end(), family_) == names.end())
    names.push_back(family_);
  field("network", family_, "the family of networks")
      .choices("network", std::move(names))
      .no_choice("mixture",
                 "the denoiser of a mixture is a formula, so there is nothing to train; its file "
                 "is a MODEL")
      .selects();
  held_->fields(field);
}

}  // namespace ddpm
