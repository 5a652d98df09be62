#include "ddpm/engine/drawn_pictures.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <span>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/data/pixels.h"
#include "ddpm/eval/subset.h"
#include "ddpm/nn/network.h"

namespace ddpm {
namespace {

// The order does not depend on the seed of a sampling.
constexpr uint64_t kOrderSeed = 0, kOrderStream = 2000;

std::vector<std::string> class_names_of(const Pictures& pictures,
                                        const std::vector<int64_t>& indices) {
  const std::vector<std::string> names = pictures.class_names();
  const std::vector<int64_t> labels = pictures.labels();
  std::vector<std::string> result;
  if (labels.empty()) return result;
  for (const int64_t index : indices) {
    const int64_t label = labels[static_cast<size_t>(index)];
    result.push_back(label < 0 ? "" : names[static_cast<size_t>(label)]);
  }
  return result;
}

class GivenPictures : public JudgedPictures {
 public:
  GivenPictures(std::shared_ptr<const Pictures> pictures, int64_t count)
      : pictures_(std::move(pictures)),
        indices_(random_subset(pictures_->size(), count, Philox(kOrderSeed, kOrderStream))) {}

  int64_t count() const override { return static_cast<int64_t>(indices_.size()); }
  std::vector<std::string> classes() const override { return class_names_of(*pictures_, indices_); }
  Tensor read(int64_t begin, int64_t count, const Progress&) override {
    BatchPlan plan;
    plan.indices.assign(indices_.begin() + begin, indices_.begin() + begin + count);
    return to_bytes(pictures_->batch(plan).images);
  }

 private:
  std::shared_ptr<const Pictures> pictures_;
  std::vector<int64_t> indices_;
};

// A picture to draw. `number` is its number among those of its class.
struct Item {
  int64_t label = -1;
  int64_t number = 0;
  // The picture whose condition it gets, or -1.
  int64_t source = -1;
};

void number_within_classes(std::vector<Item>& items) {
  std::stable_sort(items.begin(), items.end(),
                   [](const Item& a, const Item& b) { return a.label < b.label; });
  for (size_t i = 0; i < items.size(); ++i) {
    const bool same = i > 0 && items[i - 1].label == items[i].label;
    items[i].number = same ? items[i - 1].number + 1 : 0;
  }
}

std::vector<Item> items_by_frequency(const ModelConfig& config, int64_t count) {
  const int64_t classes = config.network.classes();
  std::vector<Item> items;
  if (classes == 0) {
    items.resize(static_cast<size_t>(count));
  } else {
    std::vector<int64_t> shares = config.class_counts;
    if (static_cast<int64_t>(shares.size()) != classes) {
      shares.assign(static_cast<size_t>(classes), 1);
    }
    const std::vector<int64_t> counts = apportion(count, shares);
    for (int64_t label = 0; label < classes; ++label)
      items.insert(items.end(), static_cast<size_t>(counts[static_cast<size_t>(label)]),
                   {.label = label});
  }
  number_within_classes(items);
  return items;
}

std::vector<Item> items_of_pictures(const ModelConfig& config, const Pictures& data,
                                    int64_t count) {
  const std::vector<int64_t> order =
      random_subset(data.size(), data.size(), Philox(kOrderSeed, kOrderStream));
  const std::vector<int64_t> labels = data.labels();
  const std::vector<int64_t> by_name = config.labels_of_classes(data.class_names());
  std::vector<Item> items;
  for (int64_t k = 0; k < count; ++k) {
    const auto place = static_cast<size_t>(k % data.size());
    Item item{.source = order[place]};
    const int64_t label = labels.empty() ? -1 : labels[static_cast<size_t>(item.source)];
    if (label >= 0) item.label = by_name[static_cast<size_t>(label)];
    items.push_back(item);
  }
  number_within_classes(items);
  return items;
}

class DrawnPictures : public JudgedPictures {
 public:
  DrawnPictures(const Network& network, const ModelConfig& config, GenerateOptions options,
                std::shared_ptr<const Pictures> data)
      : network_(network), config_(config), options_(std::move(options)), data_(std::move(data)) {
    const int64_t channels = config.network.condition_channels();
    if (channels == 0) {
      items_ = items_by_frequency(config, options_.count);
      return;
    }
    if (data_ == nullptr || data_->condition_channels() != channels) {
      fail_usage("eval", fmt::format("the model draws from conditions ({}) of {} channels, which "
                                     "the data does not have",
                                     config.condition, channels));
    }
    items_ = items_of_pictures(config, *data_, options_.count);
  }

  int64_t count() const override { return static_cast<int64_t>(items_.size()); }

  std::vector<std::string> classes() const override {
    std::vector<std::string> names;
    if (config_.network.classes() == 0) return names;
    for (const Item& item : items_)
      names.push_back(item.label < 0 ? "" : config_.class_name(item.label));
    return names;
  }

  Tensor read(int64_t begin, int64_t count, const Progress& progress) override {
    const bool conditioned = config_.network.condition_channels() > 0;
    const int64_t end = begin + count;
    Tensor pictures;  // bytes [count, H, W, C]
    for (int64_t from = begin; from < end;) {
      // Pictures of several classes are drawn together, but only those of one class can each get a
      // condition of their own.
      int64_t to = conditioned ? from + 1 : end;
      while (to < end && item(to).label == item(from).label) ++to;
      const Tensor part = draw(from, to, from - begin, progress);
      if (!pictures.defined()) {
        pictures = Tensor({count, part.size(1), part.size(2), part.size(3)}, DType::kUInt8);
      }
      Tensor rows = pictures.rows(from - begin, to - begin);
      rows.copy_from(part);
      from = to;
    }
    return pictures;
  }

 private:
  const Item& item(int64_t k) const { return items_[static_cast<size_t>(k)]; }

  // Sets which pictures of the seed the items are. They are sorted by class and number.
  void ask_for(int64_t begin, int64_t end, GenerateOptions& options) const {
    const std::span items(items_.begin() + begin, items_.begin() + end);
    const auto [least, most] = std::ranges::minmax(items, {}, &Item::number);
    options.first = least.number;
    options.count = most.number - least.number + 1;
    if (items.front().label < 0) return;
    for (const Item& each : items) {
      if (options.labels.empty() || options.labels.back() != each.label)
        options.labels.push_back(each.label);
      options.only.push_back((std::ssize(options.labels) - 1) * options.count + each.number -
                             options.first);
    }
  }

  Tensor draw(int64_t begin, int64_t end, int64_t done, const Progress& progress) const {
    GenerateOptions options = options_;
    ask_for(begin, end, options);
    if (item(begin).source >= 0) {
      BatchPlan plan;
      for (int64_t k = begin; k < end; ++k) plan.indices.push_back(item(k).source);
      options.condition = data_->batch(plan).condition;
    }
    options.progress = [&](const GenerateProgress& now) {
      if (progress) progress(static_cast<double>(done) + now.done);
      return !options_.progress || options_.progress(now);
    };
    return to_bytes(generate(network_, config_, options).to(Device::kCpu));
  }

  const Network& network_;
  const ModelConfig& config_;
  GenerateOptions options_;
  std::shared_ptr<const Pictures> data_;
  std::vector<Item> items_;
};

}  // namespace

std::unique_ptr<JudgedPictures> judged_pictures(std::shared_ptr<const Pictures> pictures,
                                                int64_t count) {
  return std::make_unique<GivenPictures>(std::move(pictures), count);
}

std::unique_ptr<JudgedPictures> drawn_pictures(const Network& network, const ModelConfig& config,
                                               const GenerateOptions& options,
                                               std::shared_ptr<const Pictures> data) {
  DDPM_CHECK(options.labels.empty());
  return std::make_unique<DrawnPictures>(network, config, options, std::move(data));
}

std::vector<int64_t> apportion(int64_t count, const std::vector<int64_t>& shares) {
  const double total =
      static_cast<double>(std::accumulate(shares.begin(), shares.end(), int64_t{0}));
  std::vector<int64_t> counts;
  std::vector<std::pair<double, size_t>> remainders;
  int64_t left = count;
  for (size_t i = 0; i < shares.size(); ++i) {
    const double share =
        total > 0 ? static_cast<double>(shares[i]) / total : 1 / static_cast<double>(shares.size());
    const double exact = share * static_cast<double>(count);
    counts.push_back(static_cast<int64_t>(exact));
    remainders.emplace_back(static_cast<double>(counts.back()) - exact, i);  // largest first
    left -= counts.back();
  }
  std::sort(remainders.begin(), remainders.end());
  for (int64_t k = 0; k < left; ++k)
    ++counts[remainders[static_cast<size_t>(k) % remainders.size()].second];
  return counts;
}

}  // namespace ddpm
