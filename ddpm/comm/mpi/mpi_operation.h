// Pending operations of MPI.
#pragma once

#include <mpi.h>

#include <memory>
#include <vector>

#include "ddpm/comm/communicator.h"

namespace ddpm {

// Throws Error with MPI's text unless `code` is MPI_SUCCESS.
void check_mpi(const char* call, int code);

// Any number of requests, and what must live until they are done.
class MpiOperation : public CommOperation {
 public:
  // `call` is its name in messages.
  explicit MpiOperation(const char* call) : call_(call) {}
  ~MpiOperation() override;
  MpiOperation(const MpiOperation&) = delete;
  MpiOperation& operator=(const MpiOperation&) = delete;

  bool test() override;
  void wait() override;

  // Where MPI stores the next request.
  MPI_Request* add_request();
  // A type that is `bytes` bytes at `offset` of a buffer, in blocks of at most `largest` bytes.
  MPI_Datatype add_type(size_t offset, size_t bytes, size_t largest);
  // Arrays of `count` elements that live as long as the operation.
  int* add_ints(int count);
  MPI_Datatype* add_types(int count);

 private:
  const char* call_;
  std::vector<MPI_Request> requests_;
  std::vector<MPI_Datatype> made_types_;
  std::vector<std::unique_ptr<int[]>> ints_;
  std::vector<std::unique_ptr<MPI_Datatype[]>> types_;
};

}  // namespace ddpm
