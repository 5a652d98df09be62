// Decides what happens to a call: counts and logs the calls on the given folders, and picks the one
// that gets the fault. The settings are explained in shim.cpp.
#pragma once

#include <dirent.h>
#include <stdio.h>

#include <string>

namespace ddpm::inject {

enum class How { kNone, kFail, kKillBefore, kKillAfter, kKillHalf, kShort, kFullDisk };
// A full disk refuses calls that need space.
enum class Need { kNothing, kSpace };

// `path` is absolute. errno stays as it is.
How next(const char* name, const std::string& path, Need need);
// The errno of How::kFail.
int error_to_fail_with();
[[noreturn]] void die();

// The absolute path of what a call names. Relative paths start at `folder`, a descriptor or
// AT_FDCWD.
std::string path_of(int descriptor);
std::string path_of(int folder, const char* path);
std::string path_of(const char* path);
std::string path_of(FILE* file);
std::string path_of(DIR* folder);

}  // namespace ddpm::inject
