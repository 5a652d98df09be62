// Splits a command line that holds another command after its own flags.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace ddpm::cli {

struct CommandWords {
  std::vector<std::string> own;
  // The first word that is not a flag or the value of one, or the first one after --, and all words
  // after it.
  std::vector<std::string> rest;
};

// `takes_value` says whether the next word is the value of this flag.
CommandWords split_command_words(const std::vector<std::string>& words,
                                 const std::function<bool(const std::string& flag)>& takes_value);

}  // namespace ddpm::cli
