// Flags of one command: bound to variables, converted with errors that name flag and value, listed
// in the help with their defaults. Options structs declare all their fields at once. CLI11 does the
// work and appears in no header.
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

  // Heading of the flags that follow, in the help.
  void group(std::string title);
  // An argument without a flag, such as MODEL.
  void positional(const std::string& name, std::string& value, const std::string& help,
                  bool required = true);
  // --name; the variable's value now is the default that the help shows. value_name is what stands
  // after the flag there, by default for the type.
  void add(const std::string& name, bool& value, const std::string& help);  // also --no-NAME
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
  // The flag declared last must be given.
  void require();
  // A list after the flags, before the examples: what a flag's choices mean.
  void list(const std::string& title, const std::vector<std::pair<std::string, std::string>>& rows);

  // Every field of an options struct as a flag, with its group, value name and earlier names. The
  // options must outlive the flags. Where a field selects which others there are, the fields of all
  // its choices become flags; one that the final choice does not have is refused when it is
  // applied. Only the fields that are `wanted`, where that is given.
  template <class Options>
  void add_fields(Options& options, const std::function<bool(const Field&)>& wanted = {}) {
    add_fields([&options] { return fields_of(options); }, wanted);
  }
  void add_fields(const std::function<Fields()>& list,
                  const std::function<bool(const Field&)>& wanted = {});

  // False when help was asked for and shown. Throws UsageError for what cannot be understood.
  // Writes the values given to their variables.
  bool parse(const std::vector<std::string>& arguments);
  // Writes them again: what stands on the command line wins over what a file said meanwhile.
  void apply() const;
  bool given(std::string_view name) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The choice nearest to what was typed, or empty when none is near.
std::string nearest(std::string_view typed, const std::vector<std::string>& choices);

// "there is no command 'trian'; did you mean train?", or where nothing is near "...; see ddpm
// --help".
std::string unknown(const std::string& what, const std::string& near, const std::string& see);

// "linear|cosine", for value_name.
std::string bars(const std::vector<std::string>& choices);

}  // namespace ddpm::cli
