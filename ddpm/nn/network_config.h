// The options of a network of any family.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "ddpm/base/options.h"
#include "ddpm/tensor/device.h"

namespace ddpm {

class Network;

// The options of a family: a plain struct that lists its fields, checks the sizes of images, and
// makes a network. `channels` is the number of channels of the images. `output_dim` is that of the
// output, where 0 means the same. `condition_channels` is that of an image that is the condition, 0
// for none. `classes` is the number of classes that the network is told, 0 for none, and
// `augment_channels` that of the numbers which tell of an augmentation. A family that takes no
// condition, no classes or no augmentation refuses every other number in check(). The check for
// std::copyable comes last, because it tries the conversion to NetworkConfig and would otherwise
// ask for this concept again.
template <class T>
concept FamilyOptions = requires(T options, Fields& fields, const T& read, const JsonObject& given,
                                 int64_t side) {
  { T::kFamily } -> std::convertible_to<std::string>;
  { options.channels } -> std::convertible_to<int64_t>;
  { options.output_dim } -> std::convertible_to<int64_t>;
  { options.condition_channels } -> std::convertible_to<int64_t>;
  { options.classes } -> std::convertible_to<int64_t>;
  { options.augment_channels } -> std::convertible_to<int64_t>;
  options.fields(fields);
  read.check();
  read.check_image(side, side);
  { read.side_divisor() } -> std::convertible_to<int64_t>;
  options.take_given(given);
  { read.make(Device::kCpu) } -> std::convertible_to<std::unique_ptr<Network>>;
  requires std::copyable<T>;
};

// The options of a network of any family: the name of the family, and its own options.
class NetworkConfig {
 public:
  // The first family of the table, with its defaults.
  NetworkConfig();
  // A family's own options, such as tutorial::UnetConfig.
  template <FamilyOptions Options>
  NetworkConfig(Options options)
      : family_(Options::kFamily), held_(std::make_unique<Holder<Options>>(std::move(options))) {}
  NetworkConfig(const NetworkConfig& other) : family_(other.family_), held_(other.held_->clone()) {}
  NetworkConfig& operator=(const NetworkConfig& other);
  NetworkConfig(NetworkConfig&&) = default;
  NetworkConfig& operator=(NetworkConfig&&) = default;

  const std::string& family() const { return family_; }
  // The family's own options. Null if the network is of another family.
  template <FamilyOptions Options>
  Options* get() {
    auto* holder = dynamic_cast<Holder<Options>*>(held_.get());
    return holder ? &holder->options : nullptr;
  }
  template <FamilyOptions Options>
  const Options* get() const {
    return const_cast<NetworkConfig*>(this)->get<Options>();
  }

  // "network", which selects the family, and the family's fields.
  void fields(Fields& field);
  // Throws UsageError naming the value that cannot work and what would work.
  void check() const { held_->check(); }
  // The same for the sides of an image.
  void check_image(int64_t height, int64_t width) const { held_->check_image(height, width); }
  // The sides of an image must be multiples of this.
  int64_t side_divisor() const { return held_->side_divisor(); }

  // The channels of the images that go in.
  int64_t& channels() { return held_->channels(); }
  int64_t channels() const { return held_->channels(); }
  // The channels of the output as configured. 0 means as many as the images have.
  int64_t& output_dim() { return held_->output_dim(); }
  int64_t output_dim() const { return held_->output_dim(); }
  int64_t output_channels() const { return output_dim() > 0 ? output_dim() : channels(); }

  // Of the images that it is conditioned on, 0 for none.
  int64_t& condition_channels() { return held_->condition_channels(); }
  int64_t condition_channels() const { return held_->condition_channels(); }
  // Classes of images that it is told, 0 for none.
  int64_t& classes() { return held_->classes(); }
  int64_t classes() const { return held_->classes(); }
  // Numbers that tell it how an image was augmented, 0 for none.
  int64_t& augment_channels() { return held_->augment_channels(); }
  int64_t augment_channels() const { return held_->augment_channels(); }

  friend bool operator==(const NetworkConfig& a, const NetworkConfig& b);

  // Reads the fields that are not in a state dict (Field::not_in_state_dict) and adjusts other
  // fields so that the weights still fit. With other heads, for example, the attention keeps its
  // total width. Throws UsageError for values that do not fit the weights.
  void take_given(const JsonObject& given) { held_->take_given(given); }

 private:
  friend std::unique_ptr<Network> make_network(const NetworkConfig& config, Device device);

  struct Held {
    virtual ~Held() = default;
    virtual const char* family() const = 0;
    virtual std::unique_ptr<Held> clone() const = 0;
    virtual void fields(Fields& field) = 0;
    virtual void check() const = 0;
    virtual void check_image(int64_t height, int64_t width) const = 0;
    virtual int64_t side_divisor() const = 0;
    virtual int64_t& channels() = 0;
    virtual int64_t& output_dim() = 0;
    virtual int64_t& condition_channels() = 0;
    virtual int64_t& classes() = 0;
    virtual int64_t& augment_channels() = 0;
    virtual void take_given(const JsonObject& given) = 0;
    virtual std::unique_ptr<Network> make(Device device) const = 0;
  };
  template <class Options>
  struct Holder : Held {
    explicit Holder(Options value) : options(std::move(value)) {}
    const char* family() const override { return Options::kFamily; }
    std::unique_ptr<Held> clone() const override { return std::make_unique<Holder>(options); }
    void fields(Fields& field) override { options.fields(field); }
    void check() const override { options.check(); }
    void check_image(int64_t h, int64_t w) const override { options.check_image(h, w); }
    int64_t side_divisor() const override { return options.side_divisor(); }
    int64_t& channels() override { return options.channels; }
    int64_t& output_dim() override { return options.output_dim; }
    int64_t& condition_channels() override { return options.condition_channels; }
    int64_t& classes() override { return options.classes; }
    int64_t& augment_channels() override { return options.augment_channels; }
    void take_given(const JsonObject& given) override { options.take_given(given); }
    std::unique_ptr<Network> make(Device device) const override { return options.make(device); }
    Options options;
  };

  std::string family_;
  std::unique_ptr<Held> held_;
};

}  // namespace ddpm
