// An options struct is a plain struct that lists its fields once. That list gives the JSON keys,
// the flags of the command line, their help, the checks of values and the tables of the docs.
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

// One field of an options struct: its name, a pointer to its value, and its properties. The name is
// the key in JSON (snake_case). The flag has dashes in place of underscores.
class Field {
 public:
  using Value =
      std::variant<bool*, int64_t*, uint64_t*, double*, std::string*, std::vector<int64_t>*>;

  Field(std::string name, Value value, std::string help)
      : name_(std::move(name)), help_(std::move(help)), value_(value) {}

  // ---- properties, set where the field is declared

  // The lowest and highest value. For a list, they hold for every element.
  Field& range(double lowest, double highest);
  Field& at_least(double lowest);
  // At least `lowest` and below `high`.
  Field& range_below(double lowest, double high);
  // Above `low` and at most `highest`.
  Field& above(double low, double highest);
  // Above `low` and below `high`.
  Field& between(double low, double high);
  // The least and the most elements of a list.
  Field& elements(int64_t least, int64_t most);
  // The allowed texts. `noun` names one of them in errors: "there is no schedule 'x'".
  Field& choices(std::string noun, std::vector<std::string> choices);
  // A text that is not among the choices although a user may expect it, and why it is not.
  Field& no_choice(std::string text, std::string why);
  // Values that usually work. Errors about a wrong value end with it: "2e-4 is usual".
  Field& advice(std::string text);
  // A resumed run may change this field, because it does not affect what is learnt.
  Field& may_change();
  // The value of this field decides which other fields exist. After it has changed, read_options()
  // and the flags list the fields again.
  Field& selects();
  // The value cannot be read off a state dict, so a user may have to give it.
  Field& not_in_state_dict();
  // An earlier name of the field. Files and flags may still use it.
  Field& alias(std::string name);
  // What the help shows in place of a value, instead of the type's name: "HxW".
  Field& value_name(std::string name);
  // What the help shows as the default if the value itself says little: "the sampler's own".
  Field& default_text(std::string text);

  // ---- access

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
  // True for the field's name and for its earlier names.
  bool is_called(std::string_view name) const;
  // "lie between 1 and 4096". Empty if every value of the type is allowed.
  std::string range_text() const;

  // Writes the value as JSON text. read() sets it from JSON text, and throws Error naming the field
  // if the type does not fit.
  std::string json() const;
  void read(std::string_view json) const;
  // Throws UsageError "[where] lr-warmup is -1 but must lie between 0 and 100". `before` is put
  // before the name: "--" for values that come from flags.
  void check(const std::string& where, const std::string& before = "") const;

 private:
  friend class Fields;
  bool contains(double value) const;

  std::string name_, help_;
  Value value_;
  std::string group_, value_name_, default_text_, advice_, noun_, no_choice_, why_none_;
  std::optional<double> low_, high_;
  // True if the bound itself is not allowed.
  bool above_low_ = false, below_high_ = false;
  std::optional<int64_t> least_elements_, most_elements_;
  std::vector<std::string> choices_, aliases_;
  bool changeable_ = false, selects_ = false, in_state_dict_ = true;
};

// The fields of one struct, in the order of their declaration. They point into the struct.
class Fields {
 public:
  Field& operator()(std::string name, Field::Value value, std::string help);
  template <class T>
  Field& operator()(std::string name, T& value, std::string help) {
    return (*this)(std::move(name), Field::Value(&value), std::move(help));
  }
  // Sets the heading of the fields that follow, in help and documentation.
  void group(std::string title) { group_ = std::move(title); }

  // Finds a field by its name or an earlier name. Null if there is none.
  const Field* find(std::string_view name) const;
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }

 private:
  // A deque, so that references stay valid while fields are added.
  std::deque<Field> fields_;
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

// A struct's fields() cannot be const, because the same list is used to write into the struct.
template <class Options>
Fields fields_of(const Options& options) {
  return fields_of(const_cast<Options&>(options));
}

// Adds every field to the object.
void write_fields(const Fields& fields, JsonObject& object);

// Reads the fields in their order. Returns false if a field with selects() changed: the fields must
// then be listed again and read again. Throws Error if the object names a field by two names.
bool read_fields(const JsonObject& object, const Fields& fields);

// Throws UsageError for the first field whose value is not allowed.
void check_fields(const std::string& where, const Fields& fields, const std::string& before = "");

// A Markdown table of key, default and meaning.
std::string fields_table(const Fields& fields);

template <class Options>
void write_options(const Options& options, JsonObject& object) {
  write_fields(fields_of(options), object);
}

// Reads every field that the object names. The other fields keep their value.
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
