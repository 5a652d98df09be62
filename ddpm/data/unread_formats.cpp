// The signatures come from the specifications of the formats. The name of a file is used in only
// two cases: for formats without a signature, and for raw files of cameras, which are TIFF files
// that start with a small preview.
#include "ddpm/data/unread_formats.h"

#include <algorithm>
#include <iterator>

#include "ddpm/data/image.h"

namespace ddpm {
namespace {

using namespace std::string_view_literals;

constexpr const char* kRaw = "a camera's raw file";

struct Signature {
  size_t offset;
  std::string_view bytes;
  const char* format;
};

constexpr Signature kSignatures[] = {
    {0, "8BPS"sv, "Photoshop's PSD"},
    {0, "\0\0\0\x0cJXL \r\n\x87\n"sv, "JPEG XL"},
    {0, "\0\0\0\x0cjP  \r\n\x87\n"sv, "JPEG 2000"},
    {0, "\xff\x4f\xff\x51"sv, "JPEG 2000"},
    {0, "II\xbc\x01"sv, "JPEG XR"},
    {0, "v/1\x01"sv, "OpenEXR"},
    {0, "#?RADIANCE"sv, "Radiance HDR"},
    {0, "#?RGBE"sv, "Radiance HDR"},
    {0, "PF\n"sv, "PFM"},
    {0, "Pf\n"sv, "PFM"},
    {0, "P7\n"sv, "PAM"},
    {0, "DDS \x7c\0\0\0"sv, "DDS"},
    {0, "qoif"sv, "QOI"},
    {0, "gimp xcf "sv, "GIMP's XCF"},
    {0, "SIMPLE  ="sv, "FITS"},
    {128, "DICM"sv, "DICOM"},
    {0, "FLIF"sv, "FLIF"},
    {0, "BPG\xfb"sv, "BPG"},
    {4, "ftypmif1"sv, "HEIF of another kind than HEIC and AVIF"},
    {4, "ftypcrx "sv, kRaw},
    {0, "II*\0\x10\0\0\0CR"sv, kRaw},
    {0, "FUJIFILMCCD-RAW"sv, kRaw},
    {0, "IIRO"sv, kRaw},
    {0, "IIRS"sv, kRaw},
    {0, "MMOR"sv, kRaw},
    {0, "IIU\0"sv, kRaw},
    {0, "FOVb"sv, kRaw},
    {0, "\0MRM"sv, kRaw},
};

constexpr std::string_view kRawExtensions[] = {".3fr", ".arw", ".cr2", ".dcr", ".dng", ".erf",
                                               ".iiq", ".kdc", ".mef", ".mos", ".nef", ".nrw",
                                               ".pef", ".rwl", ".sr2", ".srf", ".srw"};

// Texts may also begin with "P6". In a picture the width or a comment follows.
bool is_netpbm(std::string_view start) {
  if (start.size() < 4 || start[0] != 'P' || start[1] < '1' || start[1] > '6') return false;
  if (start[2] != '\n' && start[2] != ' ' && start[2] != '\r' && start[2] != '\t') return false;
  return start[3] == '#' || (start[3] >= '0' && start[3] <= '9');
}

// The file has 1 to 255 pictures. The reserved byte of the first one is 0.
bool is_icon(std::string_view start) {
  return (start.starts_with("\0\0\1\0"sv) || start.starts_with("\0\0\2\0"sv)) && start.size() > 9 &&
         start[4] != 0 && start[5] == 0 && start[9] == 0;
}

bool is_svg(std::string_view start) {
  if (start.starts_with("\xef\xbb\xbf")) start.remove_prefix(3);
  const size_t first = start.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return false;
  start.remove_prefix(first);
  if (start.starts_with("<svg")) return true;
  const bool xml =
      start.starts_with("<?xml") || start.starts_with("<!--") || start.starts_with("<!DOCTYPE svg");
  return xml && start.find("<svg") != std::string_view::npos;
}

}  // namespace

std::string extension_of(std::string_view name) {
  name.remove_prefix(name.rfind('/') + 1);
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == name.size()) return "";
  std::string extension(name.substr(dot));
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return extension;
}

const char* unread_format(std::string_view name, std::string_view first_bytes) {
  const char* format = image_format(first_bytes);
  if (format != nullptr && format != "TIFF"sv) return nullptr;
  for (const Signature& known : kSignatures) {
    if (first_bytes.size() > known.offset &&
        first_bytes.substr(known.offset).starts_with(known.bytes))
      return known.format;
  }
  if (is_netpbm(first_bytes)) return "PBM, PGM or PPM";
  if (is_icon(first_bytes)) return "an icon or a cursor";
  if (is_svg(first_bytes)) return "SVG";
  const std::string extension = extension_of(name);
  if (extension == ".jxl" && first_bytes.starts_with("\xff\x0a")) return "JPEG XL";
  if (format == nullptr && extension == ".tga") return "TGA";
  const bool raw = std::find(std::begin(kRawExtensions), std::end(kRawExtensions), extension) !=
                   std::end(kRawExtensions);
  return raw && format != nullptr ? kRaw : nullptr;
}

}  // namespace ddpm
