// Everything below a folder, to be compared.
#pragma once

#include <map>
#include <string>

namespace ddpm::test {

// Relative path -> contents; folders end in a slash and hold "". Of metrics.jsonl the speeds are
// left out, which no two runs share.
using Tree = std::map<std::string, std::string>;
Tree read_tree(const std::string& folder);

// "lacks loss.png, has run/x.tmp, differs in metrics.jsonl"; empty where they are the same.
std::string difference(const Tree& expected, const Tree& found);

}  // namespace ddpm::test
