// A .zip or .tar archive, in any of the compressions. libarchive is not instrumented.
#include "ddpm/data/archive/archive.h"
#include "fuzz/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ddpm;
  static constexpr size_t kStart = 16;
  constexpr int64_t kMost = int64_t{1} << 24;
  static const fuzz::Folder folder;
  const std::string path = folder.write("archive", fuzz::text_of(data, size));
  fuzz::succeeds([&] {
    const Archive archive(path, kStart, [](const std::string&, std::string_view start) {
      fuzz::require(start.size() <= kStart, "no more of a file is shown than was asked for");
      return true;
    });
    const auto count = static_cast<int64_t>(archive.entries().size());
    for (int64_t i = 0; i < count; ++i) {
      const ArchiveEntry& entry = archive.entries()[static_cast<size_t>(i)];
      fuzz::require(!entry.name.empty() && !entry.name.starts_with('/') &&
                        ("/" + entry.name + "/").find("/../") == std::string::npos,
                    "names stay below the archive");
      fuzz::require(i == 0 || archive.entries()[static_cast<size_t>(i - 1)].name < entry.name,
                    "names rise");
      std::string whole, start;
      if (fuzz::succeeds([&] { whole = archive.read(i, kMost); })) {
        fuzz::require(static_cast<int64_t>(whole.size()) == entry.bytes, "a file is read whole");
        start = archive.read_start(i, kStart);
        fuzz::require(start == whole.substr(0, kStart), "a file begins with its start");
      }
      fuzz::succeeds([&] { archive.read_start(i, kStart); });
    }
  });
  return 0;
}
