// The texts of errors that tests expect.
#pragma once

#include <string>

#include "ddpm/base/error.h"

namespace ddpm::test {

// The text of the error of this kind that action() throws, "" where it throws none. An exception of
// another kind is not caught, so that the test fails.
template <class Kind = Error, class Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const Kind& error) {
    return error.what();
  }
  return "";
}

// The text of its UsageError, "" where it throws none.
template <class Action>
std::string refusal(const Action& action) {
  return message_of<UsageError>(action);
}

}  // namespace ddpm::test
