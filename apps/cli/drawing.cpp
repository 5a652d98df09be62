#include "apps/cli/drawing.h"

#include <fmt/core.h>

#include "apps/cli/job.h"
#include "ddpm/nn/network.h"

namespace ddpm::cli {

int serve_drawing_command(Device device) {
  serve_drawing(job().communicator(), device);
  return 0;
}

std::unique_ptr<DrawingRanks> drawing_ranks() {
  return job().alone() ? nullptr : std::make_unique<DrawingRanks>(job().communicator());
}

void draw_together(DrawingRanks* ranks, const Model& model, const Model* guide,
                   GenerateOptions& options) {
  if (ranks == nullptr) return;
  ranks->share(*model.network, model.config);
  if (guide != nullptr) ranks->share(*guide->network, guide->config);
  options.ranks = ranks;
}

void list_drawing_ranks(Flags& flags, const char* command) {
  flags.list("Several processes, also on several machines",
             {{fmt::format("mpirun -n N ddpm {} ...", command),
               "each draws a part of the pictures, --batch of them at once; the results are those "
               "of one process. Only rank 0 reads the model, writes files and prints"},
              {fmt::format("ddpm launch -n N -- {} ...", command),
               "the same; it starts mpirun, and names ranks that do not start"}});
}

}  // namespace ddpm::cli
