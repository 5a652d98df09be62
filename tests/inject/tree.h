// Reads everything below a folder, to compare two folders.
#pragma once

#include <map>
#include <string>

namespace ddpm::test {

// Relative path -> contents. The path of a folder ends in a slash, and its contents are "". The
// speeds in metrics.jsonl are left out, because they differ from run to run.
using Tree = std::map<std::string, std::string>;
Tree read_tree(const std::string& folder);

// "lacks loss.png, has run/x.tmp, differs in metrics.jsonl"; empty where they are the same.
std::string difference(const Tree& expected, const Tree& found);

}  // namespace ddpm::test
