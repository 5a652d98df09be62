// The list of files that a run was trained on. It is read, written and read again.
#include "ddpm/data/fingerprint.h"
#include "fuzz/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ddpm;
  DataFingerprint read;
  if (!fuzz::succeeds([&] { read = fingerprint_from_text(fuzz::text_of(data, size), "input"); }))
    return 0;
  const DataFingerprint again = fingerprint_from_text(to_text(read), "text");
  fuzz::require(again.files == read.files, "a list survives a round trip");
  fuzz::require(describe_changes(read, again).empty(), "a list does not differ from itself");
  const std::string changes = describe_changes(DataFingerprint(), read);
  fuzz::require(read.files.empty() == changes.empty(), "every file is new to an empty list");
  fuzz::require(printable(changes) == changes, "a description is safe to show");
  return 0;
}
