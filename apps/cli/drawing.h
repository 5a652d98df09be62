// The ranks of the job as commands use them that draw pictures: rank 0 does everything else.
#pragma once

#include <memory>
#include <utility>

#include "apps/cli/flags.h"
#include "ddpm/engine/drawing_ranks.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/model.h"

namespace ddpm::cli {

// For rank 1, 2, ...: draws for rank 0 until its command ends. Prints nothing. Returns the exit
// status.
int serve_drawing_command(Device device);

// For rank 0, from the beginning of the command to its end. Null if this process is alone.
std::unique_ptr<DrawingRanks> drawing_ranks();
// Lets them draw together with this process, if there are some. The models must exist until the
// last picture is drawn. The guide may be null.
void draw_together(DrawingRanks* ranks, const Model& model, const Model* guide,
                   GenerateOptions& options);

// Says in the help what several ranks do.
void list_drawing_ranks(Flags& flags, const char* command);

}  // namespace ddpm::cli
