// What the help of a command looks like.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace ddpm::cli {

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
  std::string make_usage(const CLI::App* app, std::string) const override;
};

}  // namespace ddpm::cli
