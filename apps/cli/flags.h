// The flags of one command. They are bound to variables, converted with errors that name flag and
// value, and listed in the help with their defaults. An options struct declares all its fields at
// once. The implementation uses CLI11, which appears in no header.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ddpm/base/options.h"

namespace ddpm::cli {

class Flags {
 public:
  Flags(std::string command, const std::string& summary, std::string examples);
  ~Flags();
  Flags(const Flags&) = delete;
  Flags& operator=(const Flags&) = delete;

  // Sets the heading of the flags that follow, in the help.
  void group(std::string title);
  // An argument without a flag, such as MODEL.
  void positional(const std::string& name, std::string& value, const std::string& help,
                  bool required = true);
  // Declares --name. The current value of the variable is the default in the help. value_name is
  // the placeholder for the value there. It depends on the type if it is not given. A bool also
  // declares --no-NAME.
  void add(const std::string& name, bool& value, const std::string& help);
  void add(const std::string& name, int64_t& value, const std::string& help,
           const std::string& value_name = "N");
  void add(const std::string& name, uint64_t& value, const std::string& help,
           const std::string& value_name = "N");
  void add(const std::string& name, double& value, const std::string& help,
           const std::string& value_name = "X");
  void add(const std::string& name, std::string& value, const std::string& help,
           const std::string& value_name = "TEXT");
  void add(const std::string& name, std::vector<int64_t>& value, const std::string& help,
           const std::string& value_name = "N,N,...");
  // Another name for the flag that was declared last, with its dashes, such as "-n".
  void short_name(const std::string& name);
  // Words that belong to another command: the first one that is not a flag of this command, or that
  // follows --, and all after it. There must be one.
  void rest(const std::string& name, std::vector<std::string>& words, const std::string& help);
  // Makes the flag that was declared last mandatory.
  void require();
  // Adds a list after the flags and before the examples, such as the meanings of a flag's choices.
  void list(const std::string& title, const std::vector<std::pair<std::string, std::string>>& rows);

  // Declares every field of an options struct as a flag, with its group, value name and earlier
  // names. The options must outlive the flags. If a field decides which other fields exist, the
  // fields of all its choices become flags. A flag that the final choice does not have is refused
  // when it is applied. If `wanted` is given, only the fields for which it is true are declared.
  // All stand under `heading` in the help; without one, each stands under that of its group.
  template <class Options>
  void add_fields(Options& options, const std::function<bool(const Field&)>& wanted = {},
                  const std::string& heading = "") {
    add_fields([&options] { return fields_of(options); }, wanted, heading);
  }
  void add_fields(const std::function<Fields()>& list,
                  const std::function<bool(const Field&)>& wanted = {},
                  const std::string& heading = "");

  // Writes the given values to their variables. Returns false if help was asked for. Throws
  // UsageError for words that it cannot understand.
  bool parse(const std::vector<std::string>& arguments);
  // The help that was asked for.
  const std::string& help() const;
  // Writes the values again, because the command line overrides a file that was read after parse().
  void apply() const;
  bool given(std::string_view name) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ddpm::cli
