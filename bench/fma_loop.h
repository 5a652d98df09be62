// A loop of fused multiply-adds on registers only. Its speed is the peak that kernels are compared
// with.
#pragma once

namespace ddpm::bench {

// Runs the loop on the calling thread for about 20 microseconds, with the instruction set in force,
// and returns the floating-point operations that it did (2 per lane of a multiply-add).
double run_fma_loop();

}  // namespace ddpm::bench
