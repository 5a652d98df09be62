// What is to become of a call: counts those that matter, logs them, and picks the one that goes
// wrong. The settings are explained in shim.cpp.
#pragma once

#include <dirent.h>
#include <stdio.h>

#include <string>

namespace ddpm::inject {

enum class How { kNone, kFail, kKillBefore, kKillAfter, kKillHalf, kShort, kFullDisk };
enum class Need { kNothing, kSpace };  // what a full disk refuses

// `path` is absolute. Leaves errno alone.
How next(const char* name, const std::string& path, Need need);
// The errno of How::kFail.
int error_to_fail_with();
[[noreturn]] void die();

// Absolute paths of what a call names; relative ones start at `folder`, a descriptor or AT_FDCWD.
std::string path_of(int descriptor);
std::string path_of(int folder, const char* path);
std::string path_of(const char* path);
std::string path_of(FILE* file);
std::string path_of(DIR* folder);

}  // namespace ddpm::inject
