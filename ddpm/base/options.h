// Options are plain structs that list their fields once. From that list come JSON, flags of the
// command line, their help, the checks of values and the tables of the documentation.
//
//   struct TrainerOptions {
//     int64_t batch = 32;
//     void fields(Fields& field) {
//       field("batch", batch, "pictures per step").range(1, 1024).may_change();
//     }
//   };
//
// A struct that holds others lists them by calling their fields().
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ddpm/base/json.h"

namespace ddpm {

// "a, b or c", for error messages and help.
std::string join_choices(const std::vector<std::string>& choices);

// One field of an options struct: its name, where its value lies, and what is known about it. The
// name is the key in JSON (snake_case); the flag is the same with dashes.
class Field {
 public:
  using Value =
      std::variant<bool*, int64_t*, uint64_t*, double*, std::string*, std::vector<int64_t>*>;

  Field(std::string name, Value value, std::string help)
      : name_(std::move(name)), help_(std::move(help)), value_(value) {}

  // ---- traits, set where the field is declared

  // The lowest and highest value; of every element, where the field is a list.
  Field& range(double lowest, double highest);
  Field& at_least(double lowest);
  // At least `lowest` and below `high`.
  Field& range_below(double lowest, double high);
  // Above `low` and at most `highest`.
  Field& above(double low, double highest);
  // Above `low` and below `high`.
  Field& between(double low, double high);
  // How many elements a list may have.
  Field& elements(int64_t least, int64_t most);
  // The texts that are allowed. `noun` names one of them in errors: "there is no schedule 'x'".
  Field& choices(std::string noun, std::vector<std::string> choices);
  // What usually works. It ends the error about a wrong value: "2e-4 is usual".
  Field& advice(std::string text);
  // A resumed run may change it: it does not decide what is learnt.
  Field& may_change();
  // Its value decides which other fields there are. read_options() and flags then list the fields
  // anew after it has changed.
  Field& selects();
  // No state dict tells it, so a user may have to say it.
  Field& not_in_state_dict();
  // An earlier name. Files and flags may still use it.
  Field& alias(std::string name);
  // What stands for the value in the help, instead of the type's: "HxW".
  Field& value_name(std::string name);
  // What the help shows as the default, where the value itself says little: "the sampler's own".
  Field& default_text(std::string text);

  // ---- what is known

  const std::string& name() const { return name_; }
  const std::string& help() const { return help_; }
  const Value& value() const { return value_; }
  const std::string& group() const { return group_; }
  const std::string& value_name() const { return value_name_; }
  const std::string& default_text() const { return default_text_; }
  const std::vector<std::string>& choices() const { return choices_; }
  const std::vector<std::string>& aliases() const { return aliases_; }
  bool changeable() const { return changeable_; }
  bool is_selector() const { return selects_; }
  bool in_state_dict() const { return in_state_dict_; }
  // Whether this is the field's name or one of its earlier names.
  bool is_called(std::string_view name) const;
  // "lie between 1 and 4096", empty where every value of the type is allowed.
  std::string range_text() const;

  // The value as JSON text, and back. Throws Error naming the field where the type does not fit.
  std::string json() const;
  void read(std::string_view json) const;
  // Throws UsageError "[where] lr-warmup is -1 but must lie between 0 and 100". `before` stands
  // before the name: "--" for values that come from flags.
  void check(const std::string& where, const std::string& before = "") const;

 private:
  friend class Fields;
  bool contains(double value) const;

  std::string name_, help_;
  Value value_;
  std::string group_, value_name_, default_text_, advice_, noun_;
  std::optional<double> low_, high_;
  bool above_low_ = false, below_high_ = false;  // the bound itself is not allowed
  std::optional<int64_t> least_elements_, most_elements_;
  std::vector<std::string> choices_, aliases_;
  bool changeable_ = false, selects_ = false, in_state_dict_ = true;
};

// The fields of one struct, in their order. They point into the struct.
class Fields {
 public:
  Field& operator()(std::string name, Field::Value value, std::string help);
  template <class T>
  Field& operator()(std::string name, T& value, std::string help) {
    return (*this)(std::move(name), Field::Value(&value), std::move(help));
  }
  // The heading of the fields that follow, in help and documentation.
  void group(std::string title) { group_ = std::move(title); }

  // By name or earlier name; null where there is none.
  const Field* find(std::string_view name) const;
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }

 private:
  std::deque<Field> fields_;  // so that references stay while others are added
  std::string group_;
};

// "lr_warmup" -> "lr-warmup"
std::string flag_name(std::string field);

template <class Options>
Fields fields_of(Options& options) {
  Fields fields;
  options.fields(fields);
  return fields;
}

// fields() takes no const struct, because the same list is used to write into it.
template <class Options>
Fields fields_of(const Options& options) {
  return fields_of(const_cast<Options&>(options));
}

// Adds every field to the object.
void write_fields(const Fields& fields, JsonObject& object);

// Reads the fields in their order. Returns false when a selector changed: the fields must then be
// listed anew and read again. Throws Error where the object names a field by two names.
bool read_fields(const JsonObject& object, const Fields& fields);

// Throws UsageError for the first value that its field does not allow.
void check_fields(const std::string& where, const Fields& fields, const std::string& before = "");

// A Markdown table of key, default and meaning.
std::string fields_table(const Fields& fields);

template <class Options>
void write_options(const Options& options, JsonObject& object) {
  write_fields(fields_of(options), object);
}

// Takes every field that the object names; fields it does not name keep their value.
template <class Options>
void read_options(const JsonObject& object, Options& options) {
  while (!read_fields(object, fields_of(options))) {
  }
}

template <class Options>
void check_options(const std::string& where, const Options& options,
                   const std::string& before = "") {
  check_fields(where, fields_of(options), before);
}

}  // namespace ddpm
