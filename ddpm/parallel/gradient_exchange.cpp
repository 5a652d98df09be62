#include "ddpm/parallel/gradient_exchange.h"

#include <chrono>
#include <cstring>
#include <span>
#include <utility>

#include "ddpm/parallel/wire.h"

namespace ddpm {

GradientExchange::GradientExchange(Communicator& ranks, std::vector<Variable> parameters,
                                   std::vector<int> owners, const ExchangeOptions& options)
    : ranks_(ranks),
      parameters_(std::move(parameters)),
      owners_(std::move(owners)),
      options_(options) {
  int64_t bytes = 0;
  for (size_t i = parameters_.size(); i-- > 0;) {
    if (buckets_.empty() || bytes >= options_.bucket_bytes) {
      buckets_.emplace_back().elements.resize(static_cast<size_t>(ranks_.size()));
      bytes = 0;
    }
    Bucket& bucket = buckets_.back();
    bucket.parameters.push_back(i);
    bucket.elements[static_cast<size_t>(owners_[i])] += parameters_[i].value().elements();
    bytes += parameters_[i].value().bytes();
  }
}

void GradientExchange::begin(std::vector<std::vector<PartialSum>> sums_of_ranks, Partial partial) {
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
  std::vector<size_t> place(ranks);
  for (size_t r = 0; r < ranks; ++r) {
    place[r] = sent;
    if (r == me) continue;
    bucket.sent_sizes[r] = sums * static_cast<size_t>(bucket.elements[r]) * bytes_each;
    bucket.received_sizes[r] =
        sums_of_ranks_[r].size() * static_cast<size_t>(bucket.elements[me]) * bytes_each;
    sent += bucket.sent_sizes[r];
    received += bucket.received_sizes[r];
  }
  bucket.sent.resize(sent);
  bucket.received.resize(received);
  bucket.own.clear();
  for (const size_t i : bucket.parameters) {
    std::vector<PartialSum> partial = partial_(i);
    if (is_mine(i)) {
      bucket.own.push_back(std::move(partial));
      continue;
    }
    size_t& at = place[static_cast<size_t>(owners_[i])];
    const size_t bytes = static_cast<size_t>(parameters_[i].value().elements()) * bytes_each;
    // A rank whose pictures gave no finite loss has fewer sums. The step is then skipped.
    for (size_t k = 0; k < sums; ++k, at += bytes) {
      const std::span<std::byte> to(bucket.sent.data() + at, bytes);
      write_wire(k < partial.size() ? partial[k].sum : Tensor(), to, options_.bfloat16);
    }
  }
  figures_.gradient_bytes += static_cast<int64_t>(sent);
  bucket.operation =
      ranks_.all_to_all(bucket.sent, bucket.sent_sizes, bucket.received, bucket.received_sizes);
}

void GradientExchange::wait(CommOperation& operation) {
  const auto begin = std::chrono::steady_clock::now();
  operation.wait();
  figures_.waited +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
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
        partial.sum =
            read_wire({bucket.received.data() + place[r], bytes}, value.shape(), options_.bfloat16);
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
  const auto ranks = static_cast<size_t>(ranks_.size()), me = static_cast<size_t>(ranks_.rank());
  ++figures_.steps;
  for (const Variable& parameter : parameters_)
    figures_.fewest_bytes += 2 * parameter.value().bytes() * (ranks_.size() - 1) / ranks_.size();
  for (Bucket& bucket : buckets_) {
    bucket.received_sizes.resize(ranks);
    size_t received = 0;
    for (size_t r = 0; r < ranks; ++r) {
      bucket.received_sizes[r] = static_cast<size_t>(bucket.elements[r]) * sizeof(float);
      received += bucket.received_sizes[r];
    }
    bucket.sent.resize(bucket.received_sizes[me]);
    bucket.received.resize(received);
    std::byte* to = bucket.sent.data();
    for (const size_t i : bucket.parameters) {
      if (!is_mine(i)) continue;
      const Tensor& value = parameters_[i].value();
      std::memcpy(to, value.f32(), static_cast<size_t>(value.bytes()));
      to += value.bytes();
    }
    figures_.weight_bytes += static_cast<int64_t>(bucket.sent.size() * (ranks - 1));
    bucket.operation = ranks_.all_gather(bucket.sent, bucket.received, bucket.received_sizes);
  }
  for (Bucket& bucket : buckets_) {
    wait(*bucket.operation);
    std::vector<size_t> place(ranks);
    for (size_t r = 1; r < ranks; ++r) place[r] = place[r - 1] + bucket.received_sizes[r - 1];
    for (const size_t i : bucket.parameters) {
      Tensor& value = parameters_[i].value();
      size_t& at = place[static_cast<size_t>(owners_[i])];
      if (!is_mine(i))
        std::memcpy(value.f32(), bucket.received.data() + at, static_cast<size_t>(value.bytes()));
      at += static_cast<size_t>(value.bytes());
    }
    bucket.operation.reset();
    bucket.sent = {};
    bucket.received = {};
  }
}

}  // namespace ddpm
