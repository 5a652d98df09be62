// This file uses libjpeg directly, because libjpeg's warnings have numbers. Some warnings mean
// damage, others only that a file is unusual. libvips passes on at most the texts of the warnings.
// If it shrinks while loading, it also ignores those of the last rows.
#include <fmt/core.h>

#include <csetjmp>
#include <cstdio>
// These need <cstdio>, so they come after it.
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "ddpm/base/error.h"
#include "ddpm/data/image_parts.h"

namespace ddpm {
namespace {

using namespace std::string_view_literals;

// No encoder writes so many scans. Each scan takes a pass over the whole picture.
constexpr int kMostScans = 500;

// A file that is being decoded. libjpeg reports errors by longjmp, which skips destructors.
// Therefore everything that calls libjpeg runs inside guarded(), in lambdas without local variables
// that have a destructor.
class Decoder {
 public:
  explicit Decoder(std::string_view file) : file_(file) {
    jpeg_.err = jpeg_std_error(&errors_);
    jpeg_.client_data = this;
    errors_.error_exit = [](j_common_ptr jpeg) { of(jpeg).give_up(); };
    errors_.emit_message = [](j_common_ptr jpeg, int level) {
      if (level < 0 && of(jpeg).is_damage()) of(jpeg).give_up();
    };
    guarded([&] { jpeg_create_decompress(&jpeg_); });
    jpeg_.src = &source_;
    source_.init_source = [](j_decompress_ptr) {};
    source_.fill_input_buffer = [](j_decompress_ptr jpeg) { return of(jpeg).fill(); };
    source_.skip_input_data = [](j_decompress_ptr jpeg, long bytes) { of(jpeg).skip(bytes); };
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.term_source = [](j_decompress_ptr) {};
  }
  ~Decoder() { jpeg_destroy_decompress(&jpeg_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  ImageSize read_header();
  int64_t decoding_bytes(int64_t shrink);
  StoredImage decode(int64_t shrink);

 private:
  template <class T>
  static Decoder& of(T* jpeg) {
    return *static_cast<Decoder*>(jpeg->client_data);
  }

  template <class Work>
  void guarded(const Work& work) {
    if (setjmp(failed_) != 0) {
      // Too little memory is not a fault of the file.
      if (errors_.msg_code == JERR_OUT_OF_MEMORY) fail_system("image", reason_.data(), ENOMEM);
      fail("image", reason_.data());
    }
    work();
  }

  [[noreturn]] void give_up() {
    errors_.format_message(reinterpret_cast<j_common_ptr>(&jpeg_), reason_.data());
    std::longjmp(failed_, 1);
  }
  [[noreturn]] void give_up(const char* reason) {
    errors_.msg_code = 0;
    std::snprintf(reason_.data(), reason_.size(), "%s", reason);
    std::longjmp(failed_, 1);
  }

  // The pieces are small because libjpeg checks every code only near the end of its input.
  boolean fill() {
    constexpr size_t kPiece = 512;
    if (given_ >= file_.size()) give_up("the file ends before its picture does");
    source_.next_input_byte = reinterpret_cast<const JOCTET*>(file_.data()) + given_;
    source_.bytes_in_buffer = std::min(kPiece, file_.size() - given_);
    given_ += source_.bytes_in_buffer;
    return TRUE;
  }
  void skip(long bytes) {
    if (bytes <= 0) return;
    const size_t left = source_.bytes_in_buffer, wanted = static_cast<size_t>(bytes);
    if (wanted > left) {
      given_ += std::min(wanted - left, file_.size() - given_);
      source_.bytes_in_buffer = 0;
    } else {
      source_.next_input_byte += wanted;
      source_.bytes_in_buffer -= wanted;
    }
  }

  bool is_damage() const;
  bool stray_bytes_are_damage(int count, int marker) const;
  void note_scan();
  void read_all_scans();
  void read_markers(StoredImage& image);

  std::string_view file_;
  // The number of bytes of the file that libjpeg has got.
  size_t given_ = 0;
  jpeg_decompress_struct jpeg_ = {};
  jpeg_error_mgr errors_ = {};
  jpeg_source_mgr source_ = {};
  std::jmp_buf failed_ = {};
  std::array<char, JMSG_LENGTH_MAX> reason_ = {};
  std::array<bool, MAX_COMPONENTS> has_scan_ = {};
};

// Returns whether a warning of libjpeg means that the picture is damaged.
bool Decoder::is_damage() const {
  const auto& number = errors_.msg_parm.i;
  switch (errors_.msg_code) {
    case JWRN_EXTRANEOUS_DATA:
      return stray_bytes_are_damage(number[0], number[1]);
    // Fine details before coarse values are unusual, but nothing is lost. read_all_scans() checks
    // that the coarse values arrived.
    case JWRN_BOGUS_PROGRESSION:
      return number[1] != 0 || jpeg_.Ss == 0;
    // An unknown colour transform. libjpeg guesses as if none were given.
    case JWRN_ADOBE_XFORM:
    // The profile is dropped.
    case JWRN_BOGUS_ICC:
    // An unknown version of a header from which we read nothing.
    case JWRN_JFIF_MAJOR:
    // Progressive parameters in a sequential file. They have no effect.
    case JWRN_NOT_SEQUENTIAL:
      return false;
    default:
      return true;
  }
}

// Bytes that belong to no segment are harmless before the picture and at its end, where some
// cameras write a few. Inside the picture they are codes that libjpeg should have read, unless they
// are padding.
bool Decoder::stray_bytes_are_damage(int count, int marker) const {
  if (std::find(has_scan_.begin(), has_scan_.end(), true) == has_scan_.end()) return false;
  if (marker == JPEG_EOI) return false;
  // libjpeg has just skipped the stray bytes.
  const size_t end = given_ - source_.bytes_in_buffer;
  const size_t stray = std::min(static_cast<size_t>(count), end);
  const std::string_view bytes = file_.substr(end - stray, stray);
  return bytes.find_first_not_of("\0\xff"sv) != bytes.npos;
}

// Records for which components the new scan has values.
void Decoder::note_scan() {
  for (int i = 0; i < jpeg_.comps_in_scan; ++i)
    if (jpeg_.progressive_mode == FALSE || jpeg_.Ss == 0)
      has_scan_[jpeg_.cur_comp_info[i]->component_index] = true;
}

ImageSize Decoder::read_header() {
  guarded([&] {
    // APP1 holds EXIF.
    jpeg_save_markers(&jpeg_, JPEG_APP0 + 1, 0xffff);
    // APP2 holds the ICC profile.
    jpeg_save_markers(&jpeg_, JPEG_APP0 + 2, 0xffff);
    jpeg_read_header(&jpeg_, TRUE);
  });
  return {static_cast<int64_t>(jpeg_.image_height), static_cast<int64_t>(jpeg_.image_width)};
}

// The memory for decoding: the pixels, twice if they are turned or converted, and all coefficients
// at full size for a picture in several scans.
int64_t Decoder::decoding_bytes(int64_t shrink) {
  const int64_t pixels = int64_t{jpeg_.image_height} * jpeg_.image_width / (shrink * shrink);
  int64_t blocks = 0;
  for (int i = 0; i < jpeg_.num_components && jpeg_has_multiple_scans(&jpeg_) != FALSE; ++i) {
    const jpeg_component_info& part = jpeg_.comp_info[i];
    blocks += (int64_t{part.width_in_blocks} + part.h_samp_factor) *
              (int64_t{part.height_in_blocks} + part.v_samp_factor);
  }
  return blocks * DCTSIZE2 * static_cast<int64_t>(sizeof(JCOEF)) +
         2 * pixels * jpeg_.num_components;
}

void Decoder::read_all_scans() {
  int scans = 1, status = JPEG_SUSPENDED;
  while ((status = jpeg_consume_input(&jpeg_)) != JPEG_REACHED_EOI) {
    if (status != JPEG_REACHED_SOS) continue;
    if (++scans > kMostScans) give_up("more scans than a picture has");
    note_scan();
  }
}

StoredImage Decoder::decode(int64_t shrink) {
  StoredImage result;
  switch (jpeg_.out_color_space) {
    case JCS_GRAYSCALE:
      result.kind = ColourKind::kGrey;
      break;
    case JCS_RGB:
      result.kind = ColourKind::kRgb;
      break;
    case JCS_CMYK:
      result.kind = ColourKind::kCmyk;
      break;
    default:
      fail("image",
           fmt::format("a JPEG of {} components, whose colours are unknown", jpeg_.num_components));
  }
  read_markers(result);
  const auto channels = static_cast<size_t>(colours_of(result.kind));
  jpeg_.scale_num = 1;
  jpeg_.scale_denom = static_cast<unsigned>(shrink);
  const bool several_scans = jpeg_has_multiple_scans(&jpeg_) != FALSE;
  jpeg_.buffered_image = several_scans ? TRUE : FALSE;
  guarded([&] {
    note_scan();
    jpeg_start_decompress(&jpeg_);
    if (!several_scans) return;
    read_all_scans();
    jpeg_start_output(&jpeg_, jpeg_.input_scan_number);
  });
  for (int i = 0; i < jpeg_.num_components; ++i)
    if (!has_scan_[i]) fail("image", "the JPEG has no data for one of its colour components");
  // libjpeg rounds a reduced size up and fills the rest with black. A row or column that is only
  // partly covered is left out, unless it is the only one.
  const int64_t height = std::max<int64_t>(jpeg_.image_height / shrink, 1);
  const int64_t width = std::max<int64_t>(jpeg_.image_width / shrink, 1);
  result.pixels = Tensor({height, width, static_cast<int64_t>(channels)}, DType::kUInt8);
  std::vector<JSAMPLE> row(jpeg_.output_width * channels);
  const size_t kept = static_cast<size_t>(width) * channels;
  uint8_t* out = result.pixels.u8();
  // JPEGs store the paper that is left, not the ink.
  const uint8_t invert = result.kind == ColourKind::kCmyk ? 0xff : 0;
  guarded([&] {
    JSAMPROW rows[] = {row.data()};
    while (jpeg_.output_scanline < jpeg_.output_height) {
      const auto y = static_cast<int64_t>(jpeg_.output_scanline);
      jpeg_read_scanlines(&jpeg_, rows, 1);
      if (y >= height) continue;
      for (size_t i = 0; i < kept; ++i) *out++ = row[i] ^ invert;
    }
    if (several_scans) jpeg_finish_output(&jpeg_);
    jpeg_finish_decompress(&jpeg_);
  });
  return result;
}

void Decoder::read_markers(StoredImage& image) {
  JOCTET* profile = nullptr;
  unsigned bytes = 0;
  guarded([&] { jpeg_read_icc_profile(&jpeg_, &profile, &bytes); });
  if (profile != nullptr) image.profile.assign(reinterpret_cast<const char*>(profile), bytes);
  std::free(profile);
  for (jpeg_saved_marker_ptr it = jpeg_.marker_list; it != nullptr; it = it->next) {
    const std::string_view data(reinterpret_cast<const char*>(it->data), it->data_length);
    if (it->marker != JPEG_APP0 + 1 || !data.starts_with("Exif\0"sv)) continue;
    image.orientation = TiffDirectory(data).orientation();
    return;
  }
}

}  // namespace

ImageSize read_jpeg_header(std::string_view file) { return Decoder(file).read_header(); }

StoredImage decode_jpeg(std::string_view file, int64_t shrink) {
  // Declared first, so that it is destroyed after what it reserves memory for.
  std::shared_ptr<MemoryLease> lease;
  Decoder decoder(file);
  const ImageSize size = decoder.read_header();
  require_few_pixels(size);
  lease = std::make_shared<MemoryLease>(size, decoder.decoding_bytes(shrink));
  StoredImage image = decoder.decode(shrink);
  image.lease = lease;
  return image;
}

}  // namespace ddpm
