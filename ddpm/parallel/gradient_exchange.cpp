#include "ddpm/parallel/gradient_exchange.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <span>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/parallel/wire.h"

namespace ddpm {

namespace {

// What travels as float32 is a tensor of floats, so that the gradients of a parameter can be taken
// from it without a copy. Everything else is a tensor of bytes.
Tensor wire_buffer(size_t bytes, bool bfloat16) {
  const auto count = static_cast<int64_t>(bytes);
  return bfloat16 ? Tensor({count}, DType::kUInt8) : Tensor({count / 4});
}

std::span<std::byte> bytes_of(Tensor& tensor) {
  auto* first = tensor.dtype() == DType::kUInt8 ? reinterpret_cast<std::byte*>(tensor.u8())
                                                : reinterpret_cast<std::byte*>(tensor.f32());
  return {first, static_cast<size_t>(tensor.bytes())};
}

std::vector<Variable> copies_of(const std::vector<Variable*>& variables) {
  std::vector<Variable> copies;
  for (const Variable* variable : variables) copies.push_back(*variable);
  return copies;
}

}  // namespace

GradientExchange::GradientExchange(Communicator& ranks, const std::vector<Variable*>& parameters,
                                   std::vector<int> owners, const ExchangeOptions& options)
    : ranks_(ranks),
      parameters_(copies_of(parameters)),
      owners_(std::move(owners)),
      options_(options) {
  make_buckets();
  place_weights(parameters);
}

void GradientExchange::make_buckets() {
  int64_t all = 0;
  for (const Variable& parameter : parameters_) all += parameter.value().bytes();
  const int64_t most = std::min(options_.bucket_bytes, all / ExchangeOptions::kFewestBuckets);
  int64_t bytes = 0;
  for (size_t i = parameters_.size(); i-- > 0;) {
    if (buckets_.empty() || bytes >= most) {
      buckets_.emplace_back().elements.resize(static_cast<size_t>(ranks_.size()));
      bytes = 0;
    }
    Bucket& bucket = buckets_.back();
    bucket.parameters.push_back(i);
    bucket.elements[static_cast<size_t>(owners_[i])] += parameters_[i].value().elements();
    bytes += parameters_[i].value().bytes();
  }
}

void GradientExchange::place_weights(const std::vector<Variable*>& parameters) {
  // Each begins at a multiple of 64 bytes.
  constexpr int64_t kStep = 16;
  const auto room = [&](size_t i) {
    return (parameters_[i].value().elements() + kStep - 1) / kStep * kStep;
  };
  for (Bucket& bucket : buckets_) {
    int64_t elements = 0;
    for (const size_t i : bucket.parameters) elements += room(i);
    bucket.weights = Tensor::zeros({elements});
    int64_t at = 0;
    for (int rank = 0; rank < ranks_.size(); ++rank) {
      const int64_t begin = at;
      for (const size_t i : bucket.parameters) {
        if (owners_[i] != rank) continue;
        Tensor& value = parameters_[i].value();
        Tensor place = bucket.weights.rows(at, at + value.elements()).reshape(value.shape());
        place.copy_from(value);
        value = parameters[i]->value() = place;
        at += room(i);
      }
      bucket.weight_sizes.push_back(static_cast<size_t>(at - begin) * sizeof(float));
    }
  }
}

void GradientExchange::count_fewest_bytes() {
  ++figures_.steps;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const int64_t bytes = parameters_[i].value().bytes();
    if (is_mine(i))
      figures_.fewest_bytes += bytes * (ranks_.size() - 1);
    else
      figures_.fewest_bytes += options_.bfloat16 ? bytes / 2 : bytes;
  }
}

void GradientExchange::begin(std::vector<std::vector<PartialSum>> sums_of_ranks, Partial partial) {
  count_fewest_bytes();
  sums_of_ranks_ = std::move(sums_of_ranks);
  partial_ = std::move(partial);
  next_ = 0;
  holders_.clear();
  for (const Variable& parameter : parameters_) holders_.push_back(parameter.slot().use_count());
}

bool GradientExchange::is_complete(const Bucket& bucket) const {
  for (const size_t i : bucket.parameters)
    if (parameters_[i].slot().use_count() > holders_[i]) return false;
  return true;
}

void GradientExchange::proceed() {
  while (next_ < buckets_.size() && is_complete(buckets_[next_])) send(buckets_[next_++]);
  for (size_t k = 0; k < next_; ++k) buckets_[k].operation->test();
}

void GradientExchange::send(Bucket& bucket) {
  const auto ranks = static_cast<size_t>(ranks_.size()), me = static_cast<size_t>(ranks_.rank());
  const size_t bytes_each = options_.bfloat16 ? 2 : 4;
  const size_t sums = sums_of_ranks_[me].size();
  bucket.sent_sizes.assign(ranks, 0);
  bucket.received_sizes.assign(ranks, 0);
  size_t sent = 0, received = 0;
  for (size_t r = 0; r < ranks; ++r) {
    if (r == me) continue;
    bucket.sent_sizes[r] = sums * static_cast<size_t>(bucket.elements[r]) * bytes_each;
    bucket.received_sizes[r] =
        sums_of_ranks_[r].size() * static_cast<size_t>(bucket.elements[me]) * bytes_each;
    sent += bucket.sent_sizes[r];
    received += bucket.received_sizes[r];
  }
  bucket.received = wire_buffer(received, options_.bfloat16);
  pack(bucket, sums);
  figures_.gradient_bytes += static_cast<int64_t>(sent);
  bucket.operation = ranks_.all_to_all(bytes_of(bucket.sent), bucket.sent_sizes,
                                       bytes_of(bucket.received), bucket.received_sizes);
}

void GradientExchange::pack(Bucket& bucket, size_t sums) {
  std::vector<size_t> place(bucket.sent_sizes.size());
  std::exclusive_scan(bucket.sent_sizes.begin(), bucket.sent_sizes.end(), place.begin(), size_t{0});
  const size_t all = place.back() + bucket.sent_sizes.back();
  bucket.sent = {};
  bucket.own.clear();
  for (const size_t i : bucket.parameters) {
    std::vector<PartialSum> partial = partial_(i);
    if (is_mine(i)) {
      bucket.own.push_back(std::move(partial));
      continue;
    }
    const size_t bytes =
        static_cast<size_t>(parameters_[i].value().elements()) * (options_.bfloat16 ? 2 : 4);
    // The only gradient of a bucket, such as that of a large parameter, is sent from its own place.
    if (bytes == all && !options_.bfloat16 && partial.size() == 1 && partial[0].sum.defined()) {
      bucket.sent = partial[0].sum;
      continue;
    }
    if (!bucket.sent.defined()) bucket.sent = wire_buffer(all, options_.bfloat16);
    size_t& at = place[static_cast<size_t>(owners_[i])];
    // A rank whose pictures gave no finite loss has fewer sums. The step is then skipped.
    for (size_t k = 0; k < sums; ++k, at += bytes) {
      write_wire(k < partial.size() ? partial[k].sum : Tensor(),
                 bytes_of(bucket.sent).subspan(at, bytes), options_.bfloat16);
    }
  }
  if (!bucket.sent.defined()) bucket.sent = wire_buffer(0, options_.bfloat16);
}

void GradientExchange::wait(CommOperation& operation) {
  const auto begin = std::chrono::steady_clock::now();
  operation.wait();
  figures_.waited +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Tensor GradientExchange::received_sum(Bucket& bucket, size_t at, const Shape& shape) const {
  if (!options_.bfloat16) {
    const auto begin = static_cast<int64_t>(at / sizeof(float));
    return bucket.received.rows(begin, begin + shape.elements()).reshape(shape);
  }
  const auto bytes = static_cast<size_t>(shape.elements()) * 2;
  return read_wire(bytes_of(bucket.received).subspan(at, bytes), shape);
}

void GradientExchange::add_up(Bucket& bucket) {
  const auto ranks = static_cast<size_t>(ranks_.size()), me = static_cast<size_t>(ranks_.rank());
  const size_t bytes_each = options_.bfloat16 ? 2 : 4;
  std::vector<size_t> place(ranks);
  for (size_t r = 1; r < ranks; ++r) place[r] = place[r - 1] + bucket.received_sizes[r - 1];
  auto own = bucket.own.begin();
  for (const size_t i : bucket.parameters) {
    if (!is_mine(i)) continue;
    const Tensor& value = parameters_[i].value();
    const size_t bytes = static_cast<size_t>(value.elements()) * bytes_each;
    OrderedSum sum;
    for (size_t r = 0; r < ranks; ++r) {
      if (r == me) {
        for (PartialSum& partial : *own) sum.add(std::move(partial));
        continue;
      }
      for (PartialSum partial : sums_of_ranks_[r]) {
        partial.sum = received_sum(bucket, place[r], value.shape());
        place[r] += bytes;
        sum.add(std::move(partial));
      }
    }
    ++own;
    if (Tensor total = sum.total(); total.defined())
      parameters_[i].slot()->accumulate(std::move(total));
  }
}

void GradientExchange::finish() {
  for (size_t k = 0; k < next_; ++k) {
    for (const size_t i : buckets_[k].parameters)
      if (parameters_[i].slot()->defined())
        fail("train", "a gradient of a parameter arrived after it was sent to other ranks");
  }
  while (next_ < buckets_.size()) send(buckets_[next_++]);
  for (Bucket& bucket : buckets_) {
    wait(*bucket.operation);
    add_up(bucket);
    bucket.operation.reset();
    bucket.own.clear();
    bucket.sent = {};
    bucket.received = {};
  }
}

void GradientExchange::share_weights() {
  const auto me = static_cast<size_t>(ranks_.rank());
  for (Bucket& bucket : buckets_) {
    const std::span<std::byte> weights = bytes_of(bucket.weights);
    const size_t before = std::accumulate(bucket.weight_sizes.begin(),
                                          bucket.weight_sizes.begin() + ranks_.rank(), size_t{0});
    const size_t mine = bucket.weight_sizes[me];
    figures_.weight_bytes += static_cast<int64_t>(mine) * (ranks_.size() - 1);
    bucket.operation =
        ranks_.all_gather(weights.subspan(before, mine), weights, bucket.weight_sizes);
  }
  for (Bucket& bucket : buckets_) {
    wait(*bucket.operation);
    bucket.operation.reset();
  }
}

}  // namespace ddpm
