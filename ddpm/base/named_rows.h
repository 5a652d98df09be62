// Tables whose rows are chosen by name: each row has a member `name`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"

namespace ddpm {

template <class Row>
std::vector<std::string> names_of(const std::vector<Row>& rows) {
  std::vector<std::string> names;
  for (const Row& row : rows) names.emplace_back(row.name);
  return names;
}

// Throws UsageError("[where] ...") where no row has this name; noun says what a row is.
template <class Row>
const Row& find_by_name(const std::vector<Row>& rows, std::string_view name, std::string_view where,
                        const std::string& noun) {
  for (const Row& row : rows) {
    if (row.name == name) return row;
  }
  fail_usage(where, "there is no " + noun + " '" + std::string(name) + "'; choose " +
                        join_choices(names_of(rows)));
}

}  // namespace ddpm
