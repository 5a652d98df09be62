#include "ddpm/data/image_test_support.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
// jpeglib.h needs <cstdio>, so it comes after it.
#include <jpeglib.h>

#include "ddpm/base/error.h"
#include "ddpm/data/image.h"
#include "tests/support/errors.h"

namespace ddpm::test {
namespace {

using namespace std::string_literals;

std::string big(uint64_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i));
  return text;
}

std::string little(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

}  // namespace

std::string repeated(std::string_view piece, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += piece;
  return text;
}

std::string decode_error(const std::string& file, int64_t side) {
  return message_of([&] { decode_image(file, {side, side}); });
}

std::vector<int> pixel(const Tensor& image, int64_t y, int64_t x) {
  const int64_t channels = image.size(2);
  const uint8_t* begin = image.u8() + (y * image.size(1) + x) * channels;
  return {begin, begin + channels};
}

std::vector<int> centre(const std::string& file, int64_t side) {
  return pixel(decode_image(file, {side, side}), side / 2, side / 2);
}

void expect_near(const std::vector<int>& got, const std::vector<int>& wanted, int tolerance) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], wanted[i], tolerance) << "channel " << i;
}

// PNG
// ----------------------------------------------------------------------------------------------

std::string png_chunk(std::string_view type, std::string_view data) {
  const std::string body = std::string(type) + std::string(data);
  const uLong sum =
      crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return big(data.size(), 4) + body + big(sum, 4);
}

std::string deflated(std::string_view data) {
  uLongf bytes = compressBound(static_cast<uLong>(data.size()));
  std::string result(bytes, '\0');
  compress2(reinterpret_cast<Bytef*>(result.data()), &bytes,
            reinterpret_cast<const Bytef*>(data.data()), static_cast<uLong>(data.size()), 9);
  result.resize(bytes);
  return result;
}

std::string icc_chunk(std::string_view profile) {
  return png_chunk("iCCP", "profile\0\0"s + deflated(profile));
}

std::string make_png(int width, int height, std::string_view pixels, const PngOptions& options) {
  const size_t row = pixels.size() / static_cast<size_t>(height);
  std::string filtered;
  for (size_t at = 0; at < pixels.size(); at += row)
    filtered += '\0' + std::string(pixels.substr(at, row));
  const std::string header =
      big(static_cast<uint64_t>(width), 4) + big(static_cast<uint64_t>(height), 4) +
      static_cast<char>(options.depth) + static_cast<char>(options.colour_type) + "\0\0"s +
      static_cast<char>(options.interlaced);
  return "\x89PNG\r\n\x1a\n"s + png_chunk("IHDR", header) + options.before_pixels +
         png_chunk("IDAT", deflated(filtered)) + options.after_pixels + png_chunk("IEND", "");
}

// TIFF
// ---------------------------------------------------------------------------------------------

namespace {

// The fields in ascending order of their tags, and the data that does not fit in the fields.
class TiffFields {
 public:
  explicit TiffFields(size_t data_at) : data_at_(data_at) {}
  void number(int tag, uint64_t value) { field(tag, 4, 1, little(value, 4)); }
  void shorts(int tag, const std::vector<int>& values) {
    std::string bytes;
    for (const int value : values) bytes += little(static_cast<uint64_t>(value), 2);
    field(tag, 3, values.size(), bytes);
  }
  void blob(int tag, const std::string& bytes) { field(tag, 7, bytes.size(), bytes); }
  const std::string& data() const { return data_; }
  std::string directory() const {
    return little(static_cast<uint64_t>(count_), 2) + fields_ + little(0, 4);
  }

 private:
  void field(int tag, int type, size_t number, std::string bytes) {
    if (bytes.size() > 4) {
      const size_t place = data_at_ + data_.size();
      data_ += bytes + std::string(bytes.size() % 2, '\0');
      bytes = little(place, 4);
    }
    bytes.resize(4, '\0');
    fields_ += little(static_cast<uint64_t>(tag), 2) + little(static_cast<uint64_t>(type), 2) +
               little(number, 4) + bytes;
    ++count_;
  }
  size_t data_at_;
  std::string fields_, data_;
  int count_ = 0;
};

}  // namespace

std::string make_tiff(int width, int height, std::string_view pixels, const TiffOptions& options) {
  const std::string strip = std::string(pixels) + std::string(pixels.size() % 2, '\0');
  TiffFields fields(8 + strip.size());
  const std::vector<int> bits(static_cast<size_t>(options.samples), options.bits);
  fields.number(256, static_cast<uint64_t>(width));
  fields.number(257, static_cast<uint64_t>(height));
  fields.shorts(258, bits);
  fields.shorts(259, {1});
  fields.shorts(262, {options.photometric});
  fields.number(273, 8);
  fields.shorts(274, {options.orientation});
  fields.shorts(277, {options.samples});
  fields.number(278, static_cast<uint64_t>(height));
  fields.number(279, pixels.size());
  if (!options.palette.empty()) fields.shorts(320, options.palette);
  if (options.extra_sample >= 0) fields.shorts(338, {options.extra_sample});
  if (options.format != kUnsigned)
    fields.shorts(339, std::vector<int>(bits.size(), options.format));
  if (options.photometric == 6) fields.shorts(530, {1, 1});
  if (!options.profile.empty()) fields.blob(34675, options.profile);
  return "II*\0"s + little(8 + strip.size() + fields.data().size(), 4) + strip + fields.data() +
         fields.directory();
}

std::string exif_block(int orientation) {
  TiffFields fields(8);
  fields.shorts(274, {orientation});
  return "II*\0"s + little(8, 4) + fields.directory();
}

// JPEG
// ---------------------------------------------------------------------------------------------

std::string make_jpeg(const Tensor& image, const JpegOptions& options) {
  jpeg_compress_struct jpeg = {};
  jpeg_error_mgr errors = {};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* data = nullptr;
  unsigned long bytes = 0;
  jpeg_mem_dest(&jpeg, &data, &bytes);
  const int channels = static_cast<int>(image.size(2));
  jpeg.image_height = static_cast<JDIMENSION>(image.size(0));
  jpeg.image_width = static_cast<JDIMENSION>(image.size(1));
  jpeg.input_components = channels;
  jpeg.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, options.quality, TRUE);
  if (options.progressive) jpeg_simple_progression(&jpeg);
  jpeg.restart_in_rows = options.restart_rows;
  jpeg_start_compress(&jpeg, TRUE);
  if (!options.profile.empty())
    jpeg_write_icc_profile(&jpeg, reinterpret_cast<const JOCTET*>(options.profile.data()),
                           static_cast<unsigned>(options.profile.size()));
  std::vector<JSAMPLE> row(jpeg.image_width * static_cast<size_t>(channels));
  for (int64_t y = 0; y < image.size(0); ++y) {
    const uint8_t* in = image.u8() + y * static_cast<int64_t>(row.size());
    for (size_t i = 0; i < row.size(); ++i)
      row[i] = channels == 4 ? static_cast<JSAMPLE>(255 - in[i]) : in[i];
    JSAMPROW rows[] = {row.data()};
    jpeg_write_scanlines(&jpeg, rows, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  std::string result(reinterpret_cast<const char*>(data), bytes);
  std::free(data);
  return result;
}

size_t jpeg_segment_bytes(std::string_view file, size_t segment) {
  return 2 + (static_cast<size_t>(static_cast<unsigned char>(file[segment + 2])) << 8 |
              static_cast<unsigned char>(file[segment + 3]));
}

size_t jpeg_segment(std::string_view file, int marker) {
  size_t at = 2;
  while (at + 4 < file.size() && static_cast<unsigned char>(file[at + 1]) != marker)
    at += jpeg_segment_bytes(file, at);
  return at;
}

// Colour profiles
// ----------------------------------------------------------------------------------

namespace {

std::string fixed(double value) {
  return big(static_cast<uint32_t>(std::lround(value * 65536)), 4);
}

std::string xyz(double x, double y, double z) {
  return "XYZ \0\0\0\0"s + fixed(x) + fixed(y) + fixed(z);
}

// sRGB -> CIE Lab with a D50 white, as bytes.
std::string lab_bytes(const std::vector<double>& rgb) {
  constexpr double kMatrix[3][3] = {{.4360747, .3850649, .1430804},
                                    {.2225045, .7168786, .0606169},
                                    {.0139322, .0971045, .7141733}};
  constexpr double kWhite[3] = {.9642, 1, .8249};
  double f[3];
  for (int i = 0; i < 3; ++i) {
    double sum = 0;
    for (int c = 0; c < 3; ++c) {
      const double v = rgb[static_cast<size_t>(c)] / 255;
      sum += kMatrix[i][c] * (v <= .04045 ? v / 12.92 : std::pow((v + .055) / 1.055, 2.4));
    }
    const double t = sum / kWhite[i];
    f[i] = t > 216.0 / 24389 ? std::cbrt(t) : (24389.0 / 27 * t + 16) / 116;
  }
  std::string bytes;
  for (const double v :
       {(116 * f[1] - 16) * 2.55, 500 * (f[0] - f[1]) + 128, 200 * (f[1] - f[2]) + 128})
    bytes += static_cast<char>(std::clamp(std::lround(v), 0L, 255L));
  return bytes;
}

// A table with two values per axis. colour_of returns the sRGB colour of a corner.
template <class ColourOf>
std::string lookup_table(int inputs, const ColourOf& colour_of) {
  std::string table = "mft1\0\0\0\0"s + static_cast<char>(inputs) + "\x03\x02\0"s, curve;
  for (const double v : {1, 0, 0, 0, 1, 0, 0, 0, 1}) table += fixed(v);
  for (int i = 0; i < 256; ++i) curve += static_cast<char>(i);
  table += repeated(curve, inputs);
  for (int i = 0; i < 1 << inputs; ++i) {
    std::vector<bool> corner;
    for (int k = 0; k < inputs; ++k) corner.push_back((i >> (inputs - 1 - k) & 1) != 0);
    table += lab_bytes(colour_of(corner));
  }
  return table + repeated(curve, 3);
}

struct Tag {
  std::string name, value;
};

std::string profile(const std::string& kind, const std::string& space,
                    const std::string& connection, std::vector<Tag> tags) {
  tags.push_back({"desc", "desc\0\0\0\0\0\0\0\x05test"s + std::string(80, '\0')});
  tags.push_back({"cprt", "text\0\0\0\0none\0"s});
  tags.push_back({"wtpt", xyz(.9642, 1, .8249)});
  std::string table = big(tags.size(), 4), body;
  const size_t body_at = 128 + 4 + 12 * tags.size();
  for (const Tag& tag : tags) {
    body.resize((body.size() + 3) / 4 * 4, '\0');
    table += tag.name + big(body_at + body.size(), 4) + big(tag.value.size(), 4);
    body += tag.value;
  }
  body.resize((body.size() + 3) / 4 * 4, '\0');
  std::string header = big(body_at + body.size(), 4) + "\0\0\0\0\x02\x10\0\0"s + kind + space +
                       connection + std::string("\x07\xe4\0\1\0\1\0\0\0\0\0\0", 12) + "acsp" +
                       std::string(28, '\0') + fixed(.9642) + fixed(1) + fixed(.8249);
  header.resize(128, '\0');
  return header + table + body;
}

}  // namespace

std::string grey_profile(double gamma) {
  return profile("mntr", "GRAY", "XYZ ",
                 {{"kTRC", "curv\0\0\0\0"s + big(1, 4) +
                               big(static_cast<uint64_t>(std::lround(gamma * 256)), 2)}});
}

std::string inks_profile() {
  const std::string table = lookup_table(4, [](const std::vector<bool>& inks) {
    constexpr double kInks[4][3] = {{255, 128, 0}, {0, 160, 0}, {0, 0, 255}, {0, 0, 0}};
    std::vector<double> colour(3, 255);
    for (size_t i = 0; i < 4; ++i)
      for (size_t c = 0; c < 3 && inks[i]; ++c)
        colour[c] = std::floor(colour[c] * kInks[i][c] / 255);
    return colour;
  });
  return profile("prtr", "CMYK", "Lab ", {{"A2B0", table}, {"A2B1", table}});
}

std::string swapped_profile(std::string_view table) {
  return profile(
      "scnr", "RGB ", "Lab ",
      {{std::string(table), lookup_table(3, [](const std::vector<bool>& rgb) {
          return std::vector<double>{rgb[2] ? 255.0 : 0, rgb[1] ? 255.0 : 0, rgb[0] ? 255.0 : 0};
        })}});
}

}  // namespace ddpm::test
