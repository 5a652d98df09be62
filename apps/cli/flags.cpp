// CLI11 splits the command line and knows which words are flags. Values are converted here, for two
// reasons. Errors then name flag and value in our words. And a value can be written twice: first to
// read --config or --resume, and again after the file was read, because flags override the file.
#include "apps/cli/flags.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <stdexcept>

#include "apps/cli/command_words.h"
#include "apps/cli/flag_values.h"
#include "apps/cli/help_formatter.h"
#include "apps/cli/help_text.h"
#include "apps/cli/output.h"
#include "apps/cli/suggestions.h"
#include "ddpm/base/error.h"

namespace ddpm::cli {
namespace {

// The placeholder for a field's value in the help.
std::string value_name_of(const Field& field) {
  if (!field.value_name().empty()) return field.value_name();
  if (!field.choices().empty()) return bars(field.choices());
  constexpr const char* kByType[] = {"", "N", "N", "X", "TEXT", "N,N,..."};
  return kByType[field.value().index()];
}

}  // namespace

struct Flags::Impl {
  // Reads one value from its text on the command line.
  using Reader = std::function<Problem(const std::string&)>;
  struct Entry {
    // Includes the dashes.
    std::string name;
    CLI::Option* option;
    Reader read;
    bool is_switch = false;
    // They include the dashes.
    std::vector<std::string> aliases = {};
  };

  explicit Impl(std::string name, const std::string& summary)
      : command(std::move(name)), app(summary, "ddpm " + command) {
    app.formatter(std::make_shared<HelpFormatter>());
    app.get_formatter()->label("Positionals", "Arguments");
    // parse() declares it, as the last flag.
    app.set_help_flag();
    app.allow_extras();
  }

  // Declares a flag that takes no value, with all its names, and its --no- forms.
  CLI::Option* switch_option(const std::vector<std::string>& names, bool shown,
                             const std::string& help) {
    std::string spelled;
    for (const std::string& name : names)
      spelled += (spelled.empty() ? "--" : ",--") + name + ",!--no-" + name;
    CLI::Option* made = app.add_flag(
        spelled, [](int64_t) {}, shown ? help + " (on; --no-" + names[0] + ")" : help);
    made->type_name("")->group(heading);
    return made;
  }

  // The callback does nothing, because apply() reads the values.
  CLI::Option* option(const std::string& name, const std::string& help,
                      const std::string& value_name, const std::string& shown) {
    CLI::Option* made = app.add_option(
        name, [](const CLI::results_t&) { return true; }, help);
    made->type_name(value_name)->group(heading)->expected(1)->default_str(shown);
    return made;
  }

  Entry& add(const std::string& name, CLI::Option* option, Reader read) {
    entries.push_back({"--" + name, option, std::move(read)});
    return entries.back();
  }

  template <class Value>
  void add_value(const std::string& name, Value& value, const std::string& help,
                 const std::string& value_name) {
    add(name, option("--" + name, help, value_name, text_of(value)),
        [&value](const std::string& text) { return read_text(text, value); });
  }

  void add_field(const Field& field, const std::function<Fields()>& list);

  // Splits off the words of rest(). CLI11 gets only the first of them, as an argument.
  std::vector<std::string> take_rest(const std::vector<std::string>& words) const {
    if (rest == nullptr) return words;
    CommandWords split = split_command_words(words, [this](const std::string& word) {
      const auto entry = std::ranges::find(entries, long_name(word), &Entry::name);
      return entry != entries.end() && !entry->is_switch;
    });
    *rest = split.rest;
    if (rest->empty()) return split.own;
    if (rest->front().starts_with("-"))
      refuse(fmt::format("'{}' follows --, where a command must be", rest->front()));
    split.own.push_back(rest->front());
    return split.own;
  }

  std::string long_name(const std::string& word) const {
    const auto known =
        std::ranges::find(short_names, word, &std::pair<std::string, std::string>::first);
    return known == short_names.end() ? word : known->second;
  }

  std::string see() const { return "see ddpm " + command + " --help"; }
  [[noreturn]] void refuse(const std::string& what) const {
    fail_usage(command, what + "; " + see());
  }

  [[noreturn]] void refuse_value(const std::string& name, const std::string& value,
                                 const Problem& problem) const {
    refuse(fmt::format("{} is '{}', {}", name, value, problem));
  }
  [[noreturn]] void refuse_empty(const Entry& entry) const {
    const std::string wanted = entry.option->get_type_name();
    refuse(entry.name + " needs a value" + (wanted.empty() ? "" : ", " + wanted));
  }

  static std::vector<std::string> all_names(const Entry& entry) {
    std::vector<std::string> names = entry.aliases;
    names.insert(names.begin(), entry.name);
    return names;
  }

  // Rewrites --flip=yes and --no-flip=1 in the one form that CLI11 reads correctly. Throws
  // UsageError for values that are neither true nor false.
  std::string plain_switch(const std::string& word) const {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) return word;
    const std::string name = word.substr(0, equals), text = word.substr(equals + 1);
    if (name == "--help" || name == "-h") refuse(name + " takes no value");
    for (const Entry& entry : entries) {
      if (!entry.is_switch) continue;
      for (const std::string& known : all_names(entry)) {
        const bool negative = name == "--no-" + known.substr(2);
        if (name != known && !negative) continue;
        bool value = false;
        if (const Problem problem = read_text(text, value); !problem.empty()) {
          refuse_value(name, text, problem);
        }
        return entry.name + (value != negative ? "=true" : "=false");
      }
    }
    return word;
  }

  // Throws UsageError in our words for an error of CLI11.
  [[noreturn]] void refuse_parse(const std::string& what) const {
    // First, because a misspelt flag explains more than the flag that is missing because of it.
    check_leftovers();
    for (const Entry& entry : entries) {
      if (entry.option->count() > 1) {
        refuse(
            fmt::format("{} is given {} times; give it once", entry.name, entry.option->count()));
      }
      if (what.starts_with(entry.name + ": 1 required")) refuse_empty(entry);
    }
    refuse(what);
  }

  // Throws UsageError for words that are not a flag of this command.
  void check_leftovers() const {
    for (const std::string& word : app.remaining()) {
      if (!word.starts_with("-")) refuse(fmt::format("'{}' is one argument too many", word));
      const std::string typed = word.substr(0, word.find('='));
      std::vector<std::string> names;
      for (const Entry& entry : entries) {
        for (const std::string& name : all_names(entry)) names.push_back(name);
      }
      fail_usage(command, unknown("there is no flag " + typed, nearest(typed, names), see()));
    }
  }

  std::string command;
  CLI::App app;
  std::string heading = "Flags";
  std::string lists, examples, help;
  std::vector<Entry> entries;
  // Short names and the names they stand for, with their dashes.
  std::vector<std::pair<std::string, std::string>> short_names;
  // The words of rest(), or null.
  std::vector<std::string>* rest = nullptr;
};

Flags::Flags(std::string command, const std::string& summary, std::string examples)
    : impl_(std::make_unique<Impl>(std::move(command), summary)) {
  impl_->examples = std::move(examples);
}
Flags::~Flags() = default;

void Flags::group(std::string title) { impl_->heading = std::move(title); }
void Flags::require() { impl_->entries.back().option->required(); }

void Flags::list(const std::string& title,
                 const std::vector<std::pair<std::string, std::string>>& rows) {
  impl_->lists += "\n" + title + ":\n";
  for (const auto& [left, right] : rows) impl_->lists += help_row("  " + left, right);
}

void Flags::positional(const std::string& name, std::string& value, const std::string& help,
                       bool required) {
  CLI::Option* option = impl_->option(name, help, "", "");
  option->required(required);
  impl_->entries.push_back({name, option, [&value](const std::string& text) {
                              value = text;
                              return Problem();
                            }});
}

void Flags::short_name(const std::string& name) {
  impl_->short_names.emplace_back(name, impl_->entries.back().name);
}

void Flags::rest(const std::string& name, std::vector<std::string>& words,
                 const std::string& help) {
  CLI::Option* option = impl_->option(name, help, "", "");
  option->required();
  impl_->rest = &words;
  impl_->entries.push_back({name, option, [](const std::string&) { return Problem(); }});
}

void Flags::add(const std::string& name, bool& value, const std::string& help) {
  CLI::Option* option = impl_->switch_option({name}, value, help);
  impl_->add(name, option, [&value](const std::string& text) { return read_text(text, value); })
      .is_switch = true;
}

void Flags::add(const std::string& name, int64_t& value, const std::string& help,
                const std::string& value_name) {
  impl_->add_value(name, value, help, value_name);
}

void Flags::add(const std::string& name, uint64_t& value, const std::string& help,
                const std::string& value_name) {
  impl_->add_value(name, value, help, value_name);
}

void Flags::add(const std::string& name, double& value, const std::string& help,
                const std::string& value_name) {
  impl_->add_value(name, value, help, value_name);
}

void Flags::add(const std::string& name, std::string& value, const std::string& help,
                const std::string& value_name) {
  impl_->add_value(name, value, help, value_name);
}

void Flags::add(const std::string& name, std::vector<int64_t>& value, const std::string& help,
                const std::string& value_name) {
  impl_->add_value(name, value, help, value_name);
}

void Flags::Impl::add_field(const Field& field, const std::function<Fields()>& list) {
  const std::string name = flag_name(field.name());
  std::vector<std::string> names = {name};
  for (const std::string& alias : field.aliases()) names.push_back(flag_name(alias));
  const bool is_switch = std::holds_alternative<bool*>(field.value());
  CLI::Option* made = nullptr;
  if (is_switch) {
    made = switch_option(names, *std::get<bool*>(field.value()), field.help());
  } else {
    std::string spelled;
    for (const std::string& each : names) spelled += (spelled.empty() ? "--" : ",--") + each;
    const std::string shown =
        field.default_text().empty()
            ? std::visit([](const auto* value) { return text_of(*value); }, field.value())
            : field.default_text();
    made = option(spelled, field.help(), value_name_of(field), shown);
  }
  Entry& entry = add(name, made, [list, field = field.name()](const std::string& text) {
    const Fields fields = list();
    if (const Field* found = fields.find(field)) {
      Problem problem =
          std::visit([&](auto* value) { return read_text(text, *value); }, found->value());
      if (found->is_selector()) list();  // makes the options that it selects
      return problem;
    }
    Problem problem = "which does not go with";
    for (const Field& other : fields) {
      if (other.is_selector())
        problem += fmt::format(" --{} {}", flag_name(other.name()),
                               *std::get<std::string*>(other.value()));
    }
    return problem;
  });
  entry.is_switch = is_switch;
  for (size_t i = 1; i < names.size(); ++i) entry.aliases.push_back("--" + names[i]);
}

void Flags::add_fields(const std::function<Fields()>& list,
                       const std::function<bool(const Field&)>& wanted,
                       const std::string& heading) {
  const std::string heading_before = impl_->heading;
  std::vector<std::string> known;
  const auto add_new = [&](const std::string& suffix) {
    for (const Field& field : list()) {
      if (wanted && !wanted(field)) continue;
      if (std::find(known.begin(), known.end(), field.name()) != known.end()) continue;
      known.push_back(field.name());
      if (!heading.empty()) {
        impl_->heading = heading + suffix;
      } else if (!field.group().empty()) {
        impl_->heading = field.group() + suffix;
      }
      impl_->add_field(field, list);
    }
  };
  add_new("");
  JsonObject before;
  write_fields(list(), before);
  for (const Field& selector : list()) {
    if (!selector.is_selector()) continue;
    for (const std::string& choice : selector.choices()) {
      *std::get<std::string*>(list().find(selector.name())->value()) = choice;
      add_new(fmt::format(" (--{} {})", flag_name(selector.name()), choice));
    }
  }
  while (!read_fields(before, list())) {
  }
  impl_->heading = heading_before;
}

const std::string& Flags::help() const { return impl_->help; }

bool Flags::parse(const std::vector<std::string>& arguments) {
  CLI::App& app = impl_->app;
  app.set_help_flag("-h,--help", "this text")->group("Other");
  // CLI11 expects them in reverse order.
  std::vector<std::string> words;
  for (const std::string& word : impl_->take_rest(arguments))
    words.insert(words.begin(), impl_->plain_switch(impl_->long_name(word)));
  try {
    app.parse(words);
  } catch (const CLI::CallForHelp&) {
    std::string text = app.help() + impl_->lists;
    if (!impl_->examples.empty()) text += "\nExamples:\n" + impl_->examples;
    // CLI11 separates groups by two empty lines.
    for (size_t at = 0; (at = text.find("\n\n\n", at)) != std::string::npos;) text.erase(at, 1);
    impl_->help = text;
    return false;
  } catch (const CLI::ParseError& error) {
    impl_->refuse_parse(error.what());
  } catch (const std::logic_error& error) {
    // From the conversions that CLI11 makes.
    impl_->refuse_parse(error.what());
  }
  impl_->check_leftovers();
  apply();
  return true;
}

void Flags::apply() const {
  for (const auto& entry : impl_->entries) {
    if (entry.option->count() == 0) continue;
    const std::vector<std::string>& texts = entry.option->results();
    const std::string text = texts.back();
    if (std::any_of(texts.begin(), texts.end(), [&](const auto& t) { return t != text; })) {
      impl_->refuse(entry.name + " is given twice, with different values");
    }
    if (text.empty()) impl_->refuse_empty(entry);
    if (const Problem problem = entry.read(text); !problem.empty()) {
      impl_->refuse_value(entry.name, text, problem);
    }
  }
}

bool Flags::given(std::string_view name) const {
  for (const auto& entry : impl_->entries) {
    if (std::string_view(entry.name).substr(2) == name) return entry.option->count() > 0;
  }
  fail("flags", fmt::format("{} was never declared", name));
}

}  // namespace ddpm::cli
