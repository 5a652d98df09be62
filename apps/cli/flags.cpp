// CLI11 splits the command line and knows which words are flags. Values are converted here, so that
// errors name flag and value in our words, and so that a value can be written twice: once to learn
// of --config or --resume, and again over what that file said.
#include "apps/cli/flags.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "apps/cli/output.h"
#include "ddpm/base/error.h"

namespace ddpm::cli {
namespace {

constexpr size_t kColumn = 30;  // where help texts start

size_t help_width() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 100;
  return std::clamp<size_t>(size.ws_col, 60, 120);
}

// Words of a text in lines, all but the first indented.
std::string wrap(const std::string& text, size_t indent, size_t width) {
  std::string lines;
  size_t used = indent;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    const size_t length = end - begin;
    if (used > indent && used + 1 + length > width) {
      lines += "\n" + std::string(indent, ' ');
      used = indent;
    } else if (used > indent) {
      lines += ' ';
      ++used;
    }
    lines += text.substr(begin, length);
    used += length;
    begin = end + 1;
  }
  return lines;
}

// A row of the help: what is typed, then what it means.
std::string row(std::string left, const std::string& right) {
  if (left.size() + 2 > kColumn) {
    left += "\n" + std::string(kColumn, ' ');
  } else {
    left.resize(kColumn, ' ');
  }
  return left + wrap(right, kColumn, help_width()) + "\n";
}

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    std::string left = "  " + (is_positional ? option->get_name(true) : option->get_lnames()[0]);
    if (!is_positional) {
      if (!option->get_snames().empty())
        left = "  -" + option->get_snames()[0] + ", --help";
      else
        left.insert(2, "--");
      if (!option->get_type_name().empty()) left += " " + option->get_type_name();
    }
    std::string right = option->get_description();
    if (!option->get_default_str().empty()) right += " (" + option->get_default_str() + ")";
    return row(left, right);
  }

  std::string make_usage(const CLI::App* app, std::string) const override {
    std::string usage = "\nUsage: " + app->get_name();
    for (const CLI::Option* option : app->get_options()) {
      if (option->get_positional()) {
        usage += " " + option->get_name(true);
      } else if (option->get_required()) {
        usage += " --" + option->get_lnames()[0] + " " + option->get_type_name();
      }
    }
    return usage + " [flags]\n";
  }
};

template <class Number>
bool read_number(const std::string& text, Number& value) {
  Number read{};
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, read);
  if (text.empty() || result.ec != std::errc() || result.ptr != end) return false;
  if constexpr (std::is_same_v<Number, double>) {
    if (!std::isfinite(read)) return false;
  }
  value = read;
  return true;
}

bool read_list(const std::string& text, std::vector<int64_t>& values) {
  std::vector<int64_t> read;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    int64_t value = 0;
    if (!read_number(text.substr(begin, end - begin), value)) return false;
    read.push_back(value);
    begin = end + 1;
  }
  values = std::move(read);
  return true;
}

std::string list_text(const std::vector<int64_t>& values) {
  std::string text;
  for (const int64_t value : values) text += (text.empty() ? "" : ",") + std::to_string(value);
  return text;
}

// Edits that turn one word into the other: letters added, removed, changed, or neighbours swapped.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] =
          std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

struct Flags::Impl {
  // Reads one value as the command line has it; false where it does not fit.
  using Reader = std::function<bool(const std::string&)>;
  struct Entry {
    std::string name;      // with its dashes
    std::string expected;  // "a whole number"
    CLI::Option* option;
    Reader read;
  };

  explicit Impl(std::string name, const std::string& summary)
      : command(std::move(name)), app(summary, "ddpm " + command) {
    app.formatter(std::make_shared<HelpFormatter>());
    app.get_formatter()->label("Positionals", "Arguments");
    app.set_help_flag();  // declared last, by parse()
    app.allow_extras();
  }

  // The callback does nothing: values are read by apply().
  CLI::Option* option(const std::string& name, const std::string& help,
                      const std::string& value_name, const std::string& shown) {
    CLI::Option* made = app.add_option(
        name, [](const CLI::results_t&) { return true; }, help);
    made->type_name(value_name)->group(heading)->expected(1)->default_str(shown);
    return made;
  }

  void add(const std::string& name, const std::string& expected, CLI::Option* option, Reader read) {
    entries.push_back({"--" + name, expected, option, std::move(read)});
  }

  std::string see() const { return "see ddpm " + command + " --help"; }
  [[noreturn]] void refuse(const std::string& what) const {
    fail_usage(command, what + "; " + see());
  }

  // Throws UsageError for words that are no flag of this command.
  void check_leftovers() const {
    for (const std::string& word : app.remaining()) {
      if (!word.starts_with("-")) refuse(fmt::format("'{}' is one argument too many", word));
      const std::string typed = word.substr(0, word.find('='));
      std::vector<std::string> names;
      for (const Entry& entry : entries) names.push_back(entry.name);
      fail_usage(command, unknown("there is no flag " + typed, nearest(typed, names), see()));
    }
  }

  std::string command;
  CLI::App app;
  std::string heading = "Flags";
  std::string lists, examples;
  std::vector<Entry> entries;
};

Flags::Flags(std::string command, std::string summary, std::string examples)
    : impl_(std::make_unique<Impl>(std::move(command), summary)) {
  impl_->examples = std::move(examples);
}
Flags::~Flags() = default;

void Flags::group(std::string title) { impl_->heading = std::move(title); }
void Flags::require() { impl_->entries.back().option->required(); }

void Flags::list(const std::string& title,
                 const std::vector<std::pair<std::string, std::string>>& rows) {
  impl_->lists += "\n" + title + ":\n";
  for (const auto& [left, right] : rows) impl_->lists += row("  " + left, right);
}

void Flags::positional(const std::string& name, std::string& value, const std::string& help) {
  CLI::Option* option = impl_->option(name, help, "", "");
  option->required();
  impl_->entries.push_back({name, "a text", option, [&value](const std::string& text) {
                              value = text;
                              return !text.empty();
                            }});
}

void Flags::add(const std::string& name, bool& value, const std::string& help) {
  const std::string names = "--" + name + ",!--no-" + name;
  CLI::Option* option = impl_->app.add_flag(
      names, [](int64_t) {}, value ? help + " (on; --no-" + name + ")" : help);
  option->group(impl_->heading)->type_name("");
  impl_->add(name, "true or false", option, [&value](const std::string& text) {
    value = text == "true" || text == "1";
    return value || text == "false" || text == "0" || text == "-1";
  });
}

void Flags::add(const std::string& name, int64_t& value, const std::string& help,
                const std::string& value_name) {
  CLI::Option* option = impl_->option("--" + name, help, value_name, std::to_string(value));
  impl_->add(name, "a whole number", option,
             [&value](const std::string& text) { return read_number(text, value); });
}

void Flags::add(const std::string& name, uint64_t& value, const std::string& help,
                const std::string& value_name) {
  CLI::Option* option = impl_->option("--" + name, help, value_name, std::to_string(value));
  impl_->add(name, "a whole number of at least 0", option,
             [&value](const std::string& text) { return read_number(text, value); });
}

void Flags::add(const std::string& name, double& value, const std::string& help,
                const std::string& value_name) {
  CLI::Option* option = impl_->option("--" + name, help, value_name, fmt::format("{}", value));
  impl_->add(name, "a number", option,
             [&value](const std::string& text) { return read_number(text, value); });
}

void Flags::add(const std::string& name, std::string& value, const std::string& help,
                const std::string& value_name) {
  CLI::Option* option = impl_->option("--" + name, help, value_name, value);
  impl_->add(name, "a text", option, [&value](const std::string& text) {
    value = text;
    return !text.empty();
  });
}

void Flags::add(const std::string& name, std::vector<int64_t>& value, const std::string& help,
                const std::string& value_name) {
  CLI::Option* option = impl_->option("--" + name, help, value_name, list_text(value));
  impl_->add(name, "a list of whole numbers such as 1,2,4", option,
             [&value](const std::string& text) { return read_list(text, value); });
}

std::string Flags::flag_name(std::string field) {
  std::replace(field.begin(), field.end(), '_', '-');
  return field;
}

bool Flags::parse(const std::vector<std::string>& arguments) {
  CLI::App& app = impl_->app;
  app.set_help_flag("-h,--help", "this text")->group("Other");
  try {
    // CLI11 takes them last first.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    std::string text = app.help() + impl_->lists;
    if (!impl_->examples.empty()) text += "\nExamples:\n" + impl_->examples;
    // CLI11 parts groups by two empty lines.
    for (size_t at = 0; (at = text.find("\n\n\n", at)) != std::string::npos;) text.erase(at, 1);
    print(text);
    return false;
  } catch (const CLI::ParseError& error) {
    impl_->check_leftovers();  // a misspelt flag says more than the one that is missing for it
    impl_->refuse(error.what());
  }
  impl_->check_leftovers();
  apply();
  return true;
}

void Flags::apply() const {
  for (const auto& entry : impl_->entries) {
    if (entry.option->count() == 0) continue;
    const std::string text = entry.option->results().back();
    if (!entry.read(text)) {
      impl_->refuse(fmt::format("{} is '{}', which is not {}", entry.name, text, entry.expected));
    }
  }
}

bool Flags::given(std::string_view name) const {
  for (const auto& entry : impl_->entries) {
    if (std::string_view(entry.name).substr(2) == name) return entry.option->count() > 0;
  }
  fail("flags", fmt::format("{} was never declared", name));
}

std::string nearest(std::string_view typed, const std::vector<std::string>& choices) {
  std::string best;
  size_t least = std::max<size_t>(1, typed.size() / 3) + 1;
  for (const std::string& choice : choices) {
    const size_t distance = edit_distance(typed, choice);
    if (distance < least) least = distance, best = choice;
  }
  return best;
}

std::string unknown(const std::string& what, const std::string& near, const std::string& see) {
  return near.empty() ? what + "; " + see : what + "; did you mean " + near + "?";
}

std::string bars(const std::vector<std::string>& choices) {
  std::string text;
  for (const std::string& choice : choices) text += (text.empty() ? "" : "|") + choice;
  return text;
}

}  // namespace ddpm::cli
