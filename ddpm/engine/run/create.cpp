// Run::create() and Run::resume(), and the calls that Run forwards to its session.
#include "ddpm/engine/run/run.h"

#include <fmt/core.h>

#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/engine/memory_check.h"
#include "ddpm/engine/run/session.h"
#include "ddpm/nn/network.h"

namespace ddpm {
namespace {

// Throws UsageError for options that cannot work, before anything is created or read.
void check(const TrainOptions& options, const Communicator* ranks = nullptr) {
  options.check();
  const ImageSize size = parse_image_size(options.data.size);
  options.network.check_image(size.height, size.width);
  // Uses the fewest channels that pictures may have.
  RunMemoryOptions asked{.optimizer = options.optimizer,
                         .run = options.run,
                         .validates = options.data.validation > 0,
                         .before_loading = true,
                         .ranks = count_ranks(ranks)};
  // A run that began without chunks takes the pictures of a rank together; the check after loading
  // knows which it is.
  if (ranks != nullptr) asked.optimizer = RunSession::with_way_to_add(asked.optimizer);
  require_memory_for_run(options.model_config(size.height, size.width, 1), asked, 0);
}

// Sets size, channels and classes in the options to those of the given pictures.
TrainOptions fitted(TrainOptions options, const std::shared_ptr<const Pictures>& pictures) {
  if (!pictures) fail_usage("train", "there are no pictures");
  const ImageSize size = pictures->image_size();
  if (parse_image_size(options.data.size) != size) {
    options.data.size = size.height == size.width ? std::to_string(size.height)
                                                  : fmt::format("{}x{}", size.height, size.width);
  }
  options.data.channels = std::to_string(pictures->channels());
  if (!options.data.wants_classes()) options.data.classes = !pictures->class_names().empty();
  return options;
}

void check_directory(const std::string& directory) {
  if (directory.empty()) fail_usage("train", "the name of the run's directory is empty");
}

void check_request(const std::string& directory, const PictureLoader& pictures) {
  check_directory(directory);
  if (!pictures) fail_usage("train", "the function that loads the pictures is empty");
}

PictureLoader loader_of(std::shared_ptr<const Pictures> pictures) {
  return [pictures = std::move(pictures)](const PictureRequest&) { return pictures; };
}

}  // namespace

Run::Run(std::unique_ptr<RunSession> session) : session_(std::move(session)) {}
Run::~Run() = default;

std::unique_ptr<Run> Run::create(const std::string& directory, const TrainOptions& options,
                                 const PictureLoader& pictures, RunObserver observer,
                                 const RunPlanner& planner, Communicator* ranks) {
  check_request(directory, pictures);
  check(options, ranks);
  // On a failure the folder is removed.
  NewFolder folder(directory);
  auto session = std::make_unique<RunSession>(directory, options, std::move(observer), ranks);
  session->start(pictures, planner);
  folder.keep();
  session->begin();
  return std::unique_ptr<Run>(new Run(std::move(session)));
}

std::unique_ptr<Run> Run::create(const std::string& directory, const TrainOptions& options,
                                 std::shared_ptr<const Pictures> pictures, RunObserver observer) {
  const TrainOptions fitting = fitted(options, pictures);
  return create(directory, fitting, loader_of(std::move(pictures)), std::move(observer));
}

std::unique_ptr<Run> Run::resume(const std::string& directory, const PictureLoader& pictures,
                                 ResumeOptions options, RunObserver observer) {
  check_request(directory, pictures);
  if (options.options) check(*options.options, options.ranks);
  if (!holds_run(directory)) fail_no_run(directory);
  if (!options.options) {
    options.options = read_run_options(directory);
    check(*options.options, options.ranks);
  }
  auto session = std::make_unique<RunSession>(directory, std::move(*options.options),
                                              std::move(observer), options.ranks);
  session->go_on(pictures, options.accept_changed_data);
  session->begin();
  return std::unique_ptr<Run>(new Run(std::move(session)));
}

std::unique_ptr<Run> Run::resume(const std::string& directory,
                                 std::shared_ptr<const Pictures> pictures, ResumeOptions options,
                                 RunObserver observer) {
  check_directory(directory);
  if (!holds_run(directory)) fail_no_run(directory);
  const TrainOptions before = read_run_options(directory);
  const bool asks_for_classes = options.options && options.options->data.wants_classes();
  options.options = fitted(options.options ? *options.options : before, pictures);
  // A run of a version that ignored the labels of arrays goes on without them.
  if (!asks_for_classes && options.options->data.wants_classes() != before.data.wants_classes())
    options.options->data.classes = before.data.classes;
  return resume(directory, loader_of(std::move(pictures)), std::move(options), std::move(observer));
}

RunMetrics Run::step() { return session_->step(); }
void Run::save() { session_->save(); }
bool Run::finish() { return session_->finish(); }
Tensor Run::sample(const GenerateOptions& options) { return session_->sample(options); }
bool Run::done() const { return session_->done(); }
std::optional<double> Run::elapsed() const { return session_->elapsed(); }
std::optional<RankTraffic> Run::traffic() const { return session_->traffic(); }
int64_t Run::steps() const { return session_->steps(); }
int64_t Run::first_step() const { return session_->first_step(); }
const std::string& Run::directory() const { return session_->directory(); }
const TrainOptions& Run::options() const { return session_->options(); }
const ModelConfig& Run::config() const { return session_->trainer().config(); }
int64_t Run::parameter_count() const { return session_->trainer().network().parameter_count(); }
RunMemoryForecast Run::memory() const { return session_->memory(); }
int64_t Run::training_pictures() const { return session_->training_pictures(); }
int64_t Run::validate_every() const { return session_->validate_every(); }
int64_t Run::held_out_pictures() const { return session_->held_out_pictures(); }
RunSnapshot Run::snapshot() const { return session_->snapshot(); }
Model Run::averaged_model() const { return session_->averaged_model(); }

}  // namespace ddpm
