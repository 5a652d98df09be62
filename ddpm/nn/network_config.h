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

// A family's options: a plain struct that lists its fields, knows which images fit, and makes a
// network. `channels` are those of the images; `output_dim` those of the
// output, 0 for the same. Whether it can be copied is asked last, for that asks whether
// NetworkConfig itself could be such options.
template <class T>
concept FamilyOptions = requires(T options, Fields& fields, const T& read, const JsonObject& given,
                                 int64_t side) {
  { T::kFamily } -> std::convertible_to<std::string>;
  { options.channels } -> std::convertible_to<int64_t>;
  { options.output_dim } -> std::convertible_to<int64_t>;
  options.fields(fields);
  read.check();
  read.check_image(side, side);
  { read.side_divisor() } -> std::convertible_to<int64_t>;
  options.take_given(given);
  { read.make(Device::kCpu) } -> std::convertible_to<std::unique_ptr<Network>>;
  requires std::copyable<T>;
};

// The options of a network of any family: which family, and its own options.
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
  // The family's own options; null where the network is of another family.
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
  // Throws UsageError naming the value that cannot work and what would.
  void check() const { held_->check(); }
  // The same for the sides of an image.
  void check_image(int64_t height, int64_t width) const { held_->check_image(height, width); }
  // The sides of an image must be multiples of this.
  int64_t side_divisor() const { return held_->side_divisor(); }

  // Of the images that go in, and of the output.
  int64_t& channels() { return held_->channels(); }
  int64_t channels() const { return held_->channels(); }
  // Channels of the output as configured: 0 for those of the images.
  int64_t& output_dim() { return held_->output_dim(); }
  int64_t output_channels() const {
    return held_->output_dim() > 0 ? held_->output_dim() : held_->channels();
  }

  friend bool operator==(const NetworkConfig& a, const NetworkConfig& b);

  // Takes values of fields that no state dict tells (Field::not_in_state_dict) and keeps what the
  // weights fix: other heads, for example, share the attention's width. Throws UsageError for
  // values that do not fit the weights.
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
    void take_given(const JsonObject& given) override { options.take_given(given); }
    std::unique_ptr<Network> make(Device device) const override { return options.make(device); }
    Options options;
  };

  std::string family_;
  std::unique_ptr<Held> held_;
};

}  // namespace ddpm
