// The table of samplers.
#include "ddpm/diffusion/sampler_kind.h"

#include "ddpm/base/named_rows.h"

namespace ddpm {

// Each sampler is defined in samplers/.
SamplerKind ddpm_sampler();
SamplerKind ddim_sampler();
SamplerKind ipndm_sampler();
SamplerKind dpmpp_2m_sampler();
SamplerKind dpmpp_3m_sampler();
SamplerKind dpmpp_2m_sde_sampler();
SamplerKind unipc_sampler();
SamplerKind heun_sampler();
SamplerKind euler_sampler();
SamplerKind euler_ancestral_sampler();

const std::vector<SamplerKind>& sampler_kinds() {
  static const std::vector<SamplerKind> kinds = {
      ddpm_sampler(),     ddim_sampler(),           ipndm_sampler(), dpmpp_2m_sampler(),
      dpmpp_3m_sampler(), dpmpp_2m_sde_sampler(),   unipc_sampler(), heun_sampler(),
      euler_sampler(),    euler_ancestral_sampler()};
  return kinds;
}

std::vector<std::string> sampler_names() { return names_of(sampler_kinds()); }

const SamplerKind& find_sampler(std::string_view name) {
  return find_by_name(sampler_kinds(), name, "sample", "sampler");
}

}  // namespace ddpm
