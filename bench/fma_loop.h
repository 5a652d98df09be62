// A loop of fused multiply-adds that never leaves the registers: the peak that kernels are measured
// against.
#pragma once

namespace ddpm::bench {

// Runs the loop on the calling thread for about 20 microseconds, with the instruction set in force,
// and returns the floating-point operations that it did (2 per lane of a multiply-add).
double run_fma_loop();

}  // namespace ddpm::bench
