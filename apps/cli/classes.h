// Classes of pictures on the command line: the number of pictures of each, and the classes of
// --class.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/data/pictures.h"
#include "ddpm/engine/model_config.h"

namespace ddpm::cli {

// "10 classes: 0 (980), 1 (1135), ..., 9 (1009)" and a line end. Names at most `most_named`. Empty
// if the pictures have no classes.
std::string describe_classes(const ClassLabels& labels, size_t most_named);

// Reads --class: names, numbers such as #3, `all` and `none`, with commas between them. If a class
// has one of these as its name, the class is meant. Throws UsageError for a class that the model
// does not have, naming a similar one.
std::vector<int64_t> parse_classes(const std::string& text, const ModelConfig& model);

// "cat, dog, ... (12 in all)", or "cat (980), dog (1135)" if the model tells counts and they are
// asked for.
std::string class_list(const ModelConfig& model, size_t most_named, bool with_counts = false);

}  // namespace ddpm::cli
