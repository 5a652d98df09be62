// An IDX file of labels, plain or gzipped, beside two pictures.
#include "ddpm/data/source_kinds.h"
#include "fuzz/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ddpm;
  static const fuzz::Folder folder;
  static const std::string images = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 5, 6};
  folder.write("train-images-idx3-ubyte", images);
  folder.write("train-labels-idx1-ubyte", fuzz::text_of(data, size));
  fuzz::succeeds([&] {
    const auto names = list_mnist(folder.path(), std::make_shared<FileReader>(nullptr)).classes();
    fuzz::require(names.size() == 2, "each picture has a label");
  });
  return 0;
}
