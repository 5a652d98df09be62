// The classes of the pictures of a source. Private to this room.
#pragma once

#include <string>
#include <vector>

#include "ddpm/data/pictures.h"
#include "ddpm/data/source_kinds.h"

namespace ddpm {

// The source's own class of each picture of the list, empty for no class. Throws UsageError if the
// source has no classes.
std::vector<std::string> classes_of(const PictureList& list);

// The same if they are worth learning (SourceOptions::usable_classes). Otherwise empty.
std::vector<std::string> usable_classes_of(const PictureList& list);

// The same from a table of labels (label_table.h) for the files of a folder. Files that are not in
// the table have no class. Its first row may be a heading. Throws UsageError if the table names
// files that are not there, a file twice with different classes, or no class.
std::vector<std::string> classes_of(const PictureList& folder, const std::string& table_path);

// Numbers the classes in the order of their names: numbers first, in the order of their values.
// `names` holds the class of each picture, empty for no class.
ClassLabels number_classes(const std::vector<std::string>& names);

// Throws UsageError if a class of `wanted` is missing in `labels`, because all its pictures were
// skipped.
void require_pictures_of_all(const std::vector<std::string>& wanted, const ClassLabels& labels);

// The entries for classes in a fingerprint, besides those for files. No file has such a name.
std::vector<SourceFile> entries_of(const ClassLabels& labels);
bool is_class_entry(const SourceFile& entry);

}  // namespace ddpm
