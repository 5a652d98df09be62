// The table of commands, the parsing of the command line, and the only place where errors become
// messages and exit statuses: 0 done, 1 an error, 2 a request that cannot work, 130 interrupted.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "apps/cli/command.h"
#include "apps/cli/job.h"
#include "apps/cli/output.h"
#include "apps/cli/signals.h"
#include "apps/cli/suggestions.h"
#include "ddpm/base/error.h"
#include "ddpm/base/text.h"
#include "ddpm/base/version.h"

namespace ddpm::cli {
namespace {

constexpr Command kCommands[] = {
    {"train", "Train a network on pictures and write a run directory",
     "  ddpm train --data photos/ --out runs/photos\n"
     "  ddpm train --data emoji:smileys-emotion --out runs/emoji --size 32 --steps 20000\n"
     "  ddpm train --data photos/ --out runs/wide --size 28x36 --dim-mults 1,2,4\n"
     "  ddpm train --out runs/photos --resume\n",
     train_command, false, true},
    {"sample", "Make pictures with a trained model",
     "  ddpm sample runs/photos --out grid.png\n"
     "  ddpm sample runs/photos --n 64 --seed 7 --out grid.png --each pictures/\n"
     "  ddpm sample model.safetensors --sampler ddpm --steps 1000 --out best.png\n"
     "  ddpm sample runs/photos --n 9 --out grid.png --trajectory denoising.webp\n"
     "  ddpm sample runs/photos --like grid.png --out again.png\n",
     sample_command, true, true},
    {"eval", "Measure how good a model's pictures are, or those of a folder",
     "  ddpm eval runs/photos --data photos/\n"
     "  ddpm eval runs/photos --data photos/ --n 1000 --steps 20 --neighbours near.png\n"
     "  ddpm eval pictures/ --data photos/ --json\n",
     eval_command, true, true},
    {"forward", "Run the network once, from tensors to tensors",
     "  ddpm forward model.safetensors --in inputs.safetensors --out outputs.safetensors\n",
     forward_command},
    {"info", "Show a model and its cost",
     "  ddpm info runs/photos\n"
     "  ddpm info --size 64 --dim 32 --batch 16\n"
     "  ddpm info model.safetensors --batch 64 --json\n",
     info_command},
    {"data", "Look at pictures as the network will see them",
     "  ddpm data photos/ --out grid.png --size 64\n"
     "  ddpm data emoji:food-drink --out grid.png --background '#204060'\n",
     data_command},
    {"tune", "Find the levels of noise at which few evaluations of a model are best",
     "  ddpm tune runs/emoji --steps 8 --out tuned.safetensors\n"
     "  ddpm sample tuned.safetensors --out grid.png\n",
     tune_command, true, true},
    {"average", "Make another average of a training's weights, after the training",
     "  ddpm average runs/photos --width 0.1 --out wide.safetensors\n"
     "  ddpm average runs/photos --width 0.02,0.05,0.15 --at 4000 --out at_4000.safetensors\n"
     "  ddpm average runs/photos --width auto --data held_out/ --out best.safetensors\n",
     average_command},
    {"launch", "Run a command on several processes or hosts; a training goes on without lost ones",
     "  ddpm launch -n 4 -- train --data photos/ --out runs/photos\n"
     "  ddpm launch --hosts a:8,b:8 --min-ranks 8 -- train --data photos/ --out runs/photos\n"
     "  ddpm launch -n 4 -- sample runs/photos --n 1000 --each pictures/\n",
     launch_command, false},
    {"bench", "Measure the speed of this machine on random data",
     "  ddpm bench\n"
     "  ddpm bench --dim 32 --dim-mults 1,2,4 --size 32 --batch 32 --json\n",
     bench_command},
};

std::string overview() {
  std::string text =
      "ddpm: diffusion models in native C++, from a folder of pictures to new pictures.\n"
      "\nUsage: ddpm COMMAND [flags]\n\nCommands:\n";
  for (const Command& command : kCommands) {
    text += fmt::format("  {:<10}{}\n", command.name, command.summary);
  }
  text +=
      "\n'ddpm COMMAND --help' lists a command's flags and shows examples; 'ddpm --version' prints "
      "the "
      "version.\n"
      "\nThe exit status is 0 when all went well, 1 for an error, 2 for a request that cannot "
      "work, "
      "130 when "
      "interrupted.\n"
      "\nA first try:\n"
      "  ddpm train --data emoji:smileys-emotion --out first --dim 32 --dim-mults 1,2,4 --steps "
      "1500\n"
      "  ddpm sample first --out grid.png\n";
  return text;
}

// Returns the status after all output has been written.
int finished(int status) {
  if (const int error = output_error(); error != 0) {
    fail("ddpm", fmt::format("cannot write the output: {}", std::strerror(error)));
  }
  return status;
}

int run(std::vector<std::string> arguments) {
  take_signals_of_job();
  if (arguments.empty()) {
    say(overview());
    return 2;
  }
  std::string first = arguments.front();
  arguments.erase(arguments.begin());
  // ddpm help COMMAND
  if (first == "help" && !arguments.empty()) {
    first = arguments.front();
    arguments = {"--help"};
  }
  if (first == "--help" || first == "-h" || first == "help") {
    print(overview());
    return finished(0);
  }
  if (first == "--version" || first == "version") {
    print(fmt::format("ddpm {}\n", version()));
    return finished(0);
  }
  const Command& command = find_command(first);
  Flags flags(command.name, command.summary, command.examples);
  const Action action = command.declare(flags);
  if (!flags.parse(arguments)) {
    if (is_first_rank()) print(flags.help());
    return finished(0);
  }
  if (!command.uses_ranks) refuse_ranks(command.name);
  int status = action();
  if (command.prints_result) status = finished(status);
  close_job();
  return status;
}

int report(const char* message, int status) noexcept {
  try {
    leave_error_to_rank_0();
    fail_job(message, status);
    // One line, whatever the message contains.
    say(fmt::format("ddpm: {}\n", printable(message)));
  } catch (...) {
    // There is no memory for the text.
    say("ddpm: [ddpm] out of memory\n");
  }
  return status;
}

int guarded_run(int argc, char** argv) noexcept {
  try {
    return run(std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
  } catch (const UsageError& error) {
    return report(error.what(), 2);
  } catch (const Interrupted& interrupted) {
    return report(interrupted.what(), kInterrupted);
  } catch (const std::bad_alloc&) {
    return report("[ddpm] out of memory; use a smaller --batch, --size or --dim", 1);
  } catch (const std::exception& error) {
    return report(error.what(), 1);
  }
}

}  // namespace

const Command& find_command(const std::string& name) {
  std::vector<std::string> names;
  for (const Command& command : kCommands) {
    if (name == command.name) return command;
    names.emplace_back(command.name);
  }
  fail_usage("ddpm", unknown(fmt::format("there is no command '{}'", name), nearest(name, names),
                             "see ddpm --help"));
}

}  // namespace ddpm::cli

int main(int argc, char** argv) {
  ddpm::cli::prepare_outputs();
  ddpm::cli::end_on_signals();
  return ddpm::cli::guarded_run(argc, argv);
}
