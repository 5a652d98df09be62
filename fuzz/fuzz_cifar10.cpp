// A batch of CIFAR-10's binary version.
#include "ddpm/data/source_kinds.h"
#include "fuzz/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ddpm;
  static const fuzz::Folder folder;
  folder.write("data_batch_1.bin", fuzz::text_of(data, size));
  fuzz::succeeds([&] {
    const PictureList list = list_cifar10(folder.path(), std::make_shared<FileReader>(nullptr));
    for (int64_t i = 0; i < list.count; ++i) list.load(i, {8, 8});
  });
  return 0;
}
