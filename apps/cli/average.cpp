// ddpm average: makes averages of a run's weights after the training, of widths that are given or
// the one whose loss on pictures is the smallest.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "apps/cli/command.h"
#include "apps/cli/common.h"
#include "apps/cli/eval_sets.h"
#include "apps/cli/output.h"
#include "apps/cli/outputs.h"
#include "apps/cli/progress.h"
#include "ddpm/autograd/inference.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/text.h"
#include "ddpm/data/held_out.h"
#include "ddpm/engine/power_averages.h"
#include "ddpm/engine/run/directory.h"
#include "ddpm/engine/run/run_pictures.h"
#include "ddpm/engine/validation.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/network.h"

namespace ddpm::cli {
namespace {

constexpr int64_t kMostPictures = 1'000'000;
// How often a width is tried on a picture at least, in all.
constexpr int64_t kLeastTrials = 1000;
constexpr int64_t kBatch = 16;
// The widths that --width auto tries: so many, each the same factor wider than the one before.
constexpr int64_t kTried = 8;
constexpr double kNarrowest = 0.01, kWidest = 0.25;

struct Request {
  std::string run, width, out;
  int64_t at = 0;
  int64_t n = 256;
  uint64_t seed = 0;
  SetFlags pictures;
  Machine machine;

  bool chooses() const { return width == "auto"; }
};

std::vector<double> tried_widths() {
  std::vector<double> widths;
  for (int64_t k = 0; k < kTried; ++k) {
    const double share = static_cast<double>(k) / (kTried - 1);
    const double width = kNarrowest * std::pow(kWidest / kNarrowest, share);
    widths.push_back(std::round(1e4 * width) / 1e4);
  }
  return widths;
}

// The file of a width: `out`, or with several widths out-0.05.safetensors.
std::string file_of(const Request& request, const std::vector<double>& widths, double width) {
  if (widths.size() == 1) return request.out;
  const std::filesystem::path path(request.out);
  return (path.parent_path() /
          fmt::format("{}-{}{}", path.stem().string(), width, path.extension().string()))
      .string();
}

void check_flags(const Request& request, const Flags& flags) {
  check_output_name(request.out, "--out", ".safetensors");
  check_range("average", "--at", request.at, 0, kMostTrainedSteps);
  check_range("average", "--n", request.n, 1, kMostPictures);
  for (const char* flag : {"data", "n", "seed", "background", "labels", "condition"}) {
    if (request.chooses() || !flags.given(flag)) continue;
    fail_usage("average",
               fmt::format("--{} is for --width auto; leave it out, or give that", flag));
  }
  for (const char* flag : {"background", "labels", "condition"}) {
    if (!request.pictures.data.empty() || !flags.given(flag)) continue;
    fail_usage("average", fmt::format("--{} is for --data; leave it out, or give that", flag));
  }
}

// Throws UsageError if the file is one that the run wrote, or would be taken for one.
void refuse_to_overwrite(const std::string& file, const std::string& run) {
  for (const char* folder : {"averages", "checkpoints", "snapshots"}) {
    if (!lies_inside(file, (std::filesystem::path(run) / folder).string())) continue;
    fail_usage("average", fmt::format("--out {} lies among the {} of the run; choose another place",
                                      file, folder));
  }
  if (!exists(file) || !lies_inside(file, run)) return;
  fail_usage("average", fmt::format("--out {} is a file in the run; choose another name", file));
}

// A width and how good it is.
struct Trial {
  double width = 0;
  double error = 0;
  double loss = 0;
};

// Pictures that the training has not seen, and their hashes.
struct Unseen {
  std::shared_ptr<const Pictures> pictures;
  std::vector<uint64_t> hashes;
};

// Some of the pictures may be those that the training has seen.
void warn_of_known(const Request& request, const Pictures& pictures) {
  std::set<std::string> known;
  const RunConfig config = read_run_config(request.run, [](const std::string&) {});
  for (const SourceFile& file : read_data_index(request.run, config).files) known.insert(file.hash);
  const std::vector<SourceFile> given = file_of_each(pictures);
  const auto seen = std::count_if(given.begin(), given.end(), [&](const SourceFile& file) {
    return known.contains(file.hash);
  });
  if (seen == 0) return;
  say(
      fmt::format("note: {} of these {} pictures are among those of the run; their loss says "
                  "little about others\n",
                  seen, given.size()));
}

// The pictures of --data, or without it those that the run holds out.
Unseen unseen_pictures(const Request& request, const ModelConfig& config) {
  if (!request.pictures.data.empty()) {
    std::vector<std::string> notes;
    const std::shared_ptr<const Pictures> pictures =
        real_pictures(config, request.pictures, {config.height, config.width}, notes);
    for (const std::string& note : notes) say(fmt::format("note: {}\n", printable(note)));
    warn_of_known(request, *pictures);
    return {pictures, picture_hashes(*pictures)};
  }
  const DataOptions data = read_run_options(request.run).data;
  if (data.validation == 0) {
    fail_usage("average",
               "--width auto needs pictures that the training has not seen; give them with --data, "
               "or train with --validation 0.05");
  }
  Progress progress("picture");
  const SourceEvents events{
      .loading = [&](int64_t done, int64_t total) { progress.update(done, total, "reading"); },
      .loaded =
          [&](const LoadReport& report, const Pictures&) {
            progress.finish();
            report_skipped(report, data.source);
          },
  };
  RunPictures pictures = pictures_of_run(request.run, events);
  return {std::move(pictures.held_out), std::move(pictures.hashes)};
}

// The losses of all widths that can be made. Throws UsageError if there are none.
std::vector<Trial> try_widths(const Request& request, const KeptAverages& kept, Device device) {
  std::vector<Trial> trials;
  std::vector<double> left_out;
  for (const double width : tried_widths()) {
    const double error = kept.error(width);
    if (error <= KeptAverages::kMostError) {
      trials.push_back({width, error});
    } else {
      left_out.push_back(width);
    }
  }
  if (trials.empty()) {
    // Its message says what would work.
    kept.make(tried_widths().front());
  }
  const ModelConfig& config = kept.config();
  const Unseen unseen = unseen_pictures(request, config);
  const int64_t used = std::min(unseen.pictures->size(), request.n);
  const Validation validation(unseen.pictures, unseen.hashes, config,
                              {.loss = loss_kind(read_run_options(request.run).optimizer.loss),
                               .seed = request.seed,
                               .most = request.n,
                               .least = kLeastTrials});
  Progress progress("picture");
  for (size_t k = 0; k < trials.size(); ++k) {
    const Model model = kept.make(trials[k].width, device);
    const Inference scope;
    const auto go_on = [&](int64_t done) {
      progress.update(static_cast<int64_t>(k) * validation.count() + done,
                      std::ssize(trials) * validation.count(),
                      fmt::format("width {}", trials[k].width));
      return true;
    };
    trials[k].loss = validation.loss(*model.network, kBatch, go_on)->mean;
  }
  progress.finish();
  if (!left_out.empty()) {
    say(fmt::format("not tried, because the kept averages cannot make them: {}\n",
                    fmt::join(left_out, ", ")));
  }
  print(fmt::format("Loss of each width on {} picture{}, at step {}:\n", used, plural(used),
                    kept.step()));
  return trials;
}

// Prints the table, and returns the width with the smallest loss.
double best_of(const std::vector<Trial>& trials) {
  const Trial& best = *std::min_element(
      trials.begin(), trials.end(), [](const Trial& a, const Trial& b) { return a.loss < b.loss; });
  print("  width   loss       error of the average\n");
  for (const Trial& trial : trials) {
    print(fmt::format("  {:<7} {:.7f}  {:.2f} %{}\n", trial.width, trial.loss, 100 * trial.error,
                      &trial == &best ? "  best" : ""));
  }
  if (&best == &trials.front() || &best == &trials.back()) {
    say(fmt::format("the best width is the {} that was tried; others beyond it may be better\n",
                    &best == &trials.front() ? "narrowest" : "widest"));
  }
  return best.width;
}

int run(const Request& request, const Flags& flags) {
  const Device device = request.machine.apply();
  check_flags(request, flags);
  std::vector<double> widths;
  if (!request.chooses()) {
    widths = parse_widths(request.width);
    if (widths.empty()) fail_usage("average", "--width none is no width; give one such as 0.1");
  }
  const KeptAverages kept(request.run, request.at);
  if (request.chooses()) {
    refuse_to_overwrite(request.out, request.run);
    // Fails here, and not after the trials, if the file cannot be written.
    { const OutputFile writable(request.out); }
    widths = {best_of(try_widths(request, kept, device))};
  }
  for (const double width : widths)
    refuse_to_overwrite(file_of(request, widths, width), request.run);
  std::string first;
  for (const double width : widths) {
    const Model model = kept.make(width, device);
    const std::string file = file_of(request, widths, width);
    save_output(file, [&] {
      save_model(file, model.config, *model.network, parameter_tensors(*model.network),
                 model.trained_steps, kept.run(), width_metadata(width));
    });
    print(fmt::format("wrote {}: width {} at step {}, made of {} averages, {:.2f} % off\n",
                      printable(file), width, kept.step(), kept.count(), 100 * kept.error(width)));
    if (first.empty()) first = file;
  }
  print(fmt::format("To make pictures with it:\n  ddpm sample {} --out grid.png\n",
                    shell_word(first)));
  return 0;
}

}  // namespace

Action average_command(Flags& flags) {
  const auto request = std::make_shared<Request>();
  flags.positional("RUN", request->run,
                   "a run that was trained with --power-average, with the averages it kept");
  flags.add(
      "width", request->width,
      "relative width of the average: 0.1 is about the last tenth of the training; several "
      "widths; or auto, the one with the smallest loss on pictures that the training has not seen",
      "W|W,W,...|auto");
  flags.require();
  flags.add("out", request->out,
            "model file for the average; with several widths, -WIDTH is added to its name",
            "FILE.safetensors");
  flags.require();
  flags.add("at", request->at, "step of the average, 0 for the newest that was kept");
  request->machine.declare(flags);
  flags.group("With --width auto");
  flags.add("data", request->pictures.data,
            "pictures that the training has not seen, see below; without it, those that "
            "the run held out (ddpm train --validation)",
            "SOURCE");
  flags.add("n", request->n, "the most pictures; of more, those with the smallest hashes are used");
  flags.add("seed", request->seed, "seed of the noise and its levels, the same for all widths");
  flags.add("background", request->pictures.background,
            "colour behind transparent pixels: white, black, grey or #rrggbb", "COLOUR");
  flags.add("labels", request->pictures.labels, "table of file names and classes of the pictures",
            "FILE.csv");
  flags.add("condition", request->pictures.condition,
            "for a model that draws from other pictures: the folder of those that go with SOURCE",
            "DIR");
  flags.list("SOURCE is one of", source_rows());
  return [request, &flags] { return run(*request, flags); };
}

}  // namespace ddpm::cli
