#include "ddpm/engine/run/tensorboard/board.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string_view>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/engine/run/directory.h"
#include "ddpm/engine/run/tensorboard/event.pb.h"

namespace ddpm {
namespace {

constexpr std::string_view kPrefix = "events.out.tfevents.";
constexpr int64_t kMostFiles = 1'000'000'000;

// The file after those that are there. Makes the folder.
std::string next_path(const std::string& run) {
  const std::string folder = in_run(run, "tensorboard");
  make_folder(folder);
  int64_t last = 0;
  for (const std::string& name : list_names(folder)) {
    if (!name.starts_with(kPrefix)) continue;
    int64_t number = 0;
    const std::string_view digits = std::string_view(name).substr(kPrefix.size());
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (number < kMostFiles) last = std::max(last, number);
  }
  return fmt::format("{}/{}{:06}", folder, kPrefix, last + 1);
}

events::Event event_at(int64_t step) {
  events::Event event;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  event.set_wall_time(std::chrono::duration<double>(now).count());
  event.set_step(step);
  return event;
}

uint32_t big_endian(std::string_view bytes) {
  uint32_t number = 0;
  for (const char byte : bytes.substr(0, 4)) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
}

}  // namespace

Board::Board(const std::string& run, int64_t first) : file_(next_path(run)) {
  events::Event event = event_at(first);
  event.set_file_version("brain.Event:2");
  file_.append(event.SerializeAsString());
  go_on_from(first);
}

void Board::go_on_from(int64_t first) {
  start_ = first;
  tell_start();
}

void Board::tell_start() {
  if (!start_) return;
  events::Event event = event_at(*start_);
  event.mutable_session_log()->set_status(events::SessionLog::START);
  file_.append(event.SerializeAsString());
  start_.reset();
}

void Board::add(int64_t step, const Scalars& scalars) {
  tell_start();
  events::Event event = event_at(step);
  for (const auto& [tag, value] : scalars) {
    events::Summary::Value& entry = *event.mutable_summary()->add_value();
    entry.set_tag(tag);
    entry.set_simple_value(static_cast<float>(value));
  }
  file_.append(event.SerializeAsString());
}

void Board::add_picture(int64_t step, const std::string& tag, const std::string& png_path) {
  tell_start();
  constexpr uint64_t kMostBytes = uint64_t{1} << 30;
  const std::string png = read_file(png_path, kMostBytes);
  // The header chunk (PNG specification, 11.2.2): width and height at 16, colour type at 25.
  if (png.size() < 26) fail("train", fmt::format("{} is not a PNG file", png_path));
  const auto colour_type = static_cast<uint8_t>(png[25]);
  events::Event event = event_at(step);
  events::Summary::Value& entry = *event.mutable_summary()->add_value();
  entry.set_tag(tag);
  events::Image& image = *entry.mutable_image();
  image.set_width(static_cast<int32_t>(big_endian(std::string_view(png).substr(16))));
  image.set_height(static_cast<int32_t>(big_endian(std::string_view(png).substr(20))));
  image.set_colorspace(colour_type == 0 ? 1 : colour_type == 6 ? 4 : 3);
  image.set_encoded_image_string(png);
  file_.append(event.SerializeAsString());
}

}  // namespace ddpm
