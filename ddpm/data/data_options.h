// Which pictures are learnt from, and how they are prepared.
#pragma once

#include <string>

#include "ddpm/base/options.h"

namespace ddpm {

struct DataOptions {
  std::string source;
  std::string size = "32";
  std::string channels = "auto";
  std::string background = "white";
  bool flip = false;

  void fields(Fields& field) {
    field.group("The pictures");
    field("data", source, "where the pictures come from").value_name("SOURCE").may_change();
    field("size", size, "pixels a side, or HEIGHTxWIDTH; both divisible by 2^(levels - 1)")
        .value_name("N|HxW");
    field("channels", channels, "1 grey, 3 RGB, 4 RGBA, or auto: the fewest that hold the pictures")
        .value_name("1|3|4|auto");
    field("background", background, "colour under transparency that is not kept: a name or #rrggbb")
        .value_name("COLOUR");
    field("flip", flip, "mirror pictures left to right at random");
  }
};

}  // namespace ddpm
