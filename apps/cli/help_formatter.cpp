#include "apps/cli/help_formatter.h"

#include "apps/cli/help_text.h"

namespace ddpm::cli {

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
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
  return help_row(left, right);
}

std::string HelpFormatter::make_usage(const CLI::App* app, std::string) const {
  std::string usage = "\nUsage: " + app->get_name(), rest;
  for (const CLI::Option* option : app->get_options()) {
    if (option->get_positional()) {
      const std::string positional = option->get_name(true);
      if (positional.ends_with("..."))
        rest = " [--] " + positional;
      else
        usage += option->get_required() ? " " + positional : " [" + positional + "]";
    } else if (option->get_required()) {
      usage += " --" + option->get_lnames()[0] + " " + option->get_type_name();
    }
  }
  return usage + " [flags]" + rest + "\n";
}

}  // namespace ddpm::cli
