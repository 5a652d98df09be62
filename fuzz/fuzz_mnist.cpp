// An IDX file of pictures, plain or gzipped. The last picture is read, so its bytes must exist.
#include "ddpm/data/source_kinds.h"
#include "fuzz/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ddpm;
  static const fuzz::Folder folder;
  folder.write("train-images-idx3-ubyte", fuzz::text_of(data, size));
  fuzz::succeeds([&] {
    const PictureList list = list_mnist(folder.path(), std::make_shared<FileReader>(nullptr));
    for (const int64_t i : {int64_t{0}, list.count - 1}) list.load(i, {8, 8});
  });
  return 0;
}
