// Lengths of time as users write them: "90s", "10m", "8h", "2d", "1h30m".
#pragma once

#include <string>
#include <string_view>

namespace ddpm {

// The seconds of a length of time: numbers with the units d, h, m and s, each at most once and the
// longest first. A number may have a fraction: "1.5h". `name` is what the text is the value of,
// such as "--budget". Throws UsageError that begins with [where] if it is anything else, 0 or more
// than 10000 days.
double parse_duration(std::string_view text, std::string_view where, std::string_view name);

// The shortest such text, to whole seconds: "1h30m". Below ten seconds to tenths: "2.5s".
std::string duration_text(double seconds);

}  // namespace ddpm
