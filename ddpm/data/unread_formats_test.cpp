#include "ddpm/data/unread_formats.h"

#include <gtest/gtest.h>

namespace ddpm {
namespace {

using namespace std::string_literals;

std::string format(const std::string& name, const std::string& start) {
  const char* found = unread_format(name, start);
  return found == nullptr ? "" : found;
}

TEST(UnreadFormatsTest, SignaturesTell) {
  EXPECT_EQ(format("x", "\0\0\0\x0cJXL \r\n\x87\n"s), "JPEG XL");
  EXPECT_EQ(format("x.jxl", "\xff\x0a\0"s), "JPEG XL");
  EXPECT_EQ(format("x", "\0\0\0\x0cjP  \r\n\x87\n"s), "JPEG 2000");
  EXPECT_EQ(format("x", "P6\n640 480\n255\n"), "PBM, PGM or PPM");
  EXPECT_EQ(format("x", "P5 #comment"), "PBM, PGM or PPM");
  EXPECT_EQ(format("x", "\0\0\1\0\2\0\x20\x20\0\0"s), "an icon or a cursor");
  EXPECT_EQ(format("x", "v/1\x01\2\0\0\0"s), "OpenEXR");
  EXPECT_EQ(format("x", std::string(128, '\0') + "DICM"), "DICOM");
  EXPECT_EQ(format("x", "\xef\xbb\xbf\n <svg width='3'>"), "SVG");
  EXPECT_EQ(format("x", "<!-- drawn by hand --><svg>"), "SVG");
}

TEST(UnreadFormatsTest, RawFilesOfCamerasAreNoOrdinaryTiff) {
  const std::string tiff = "II*\0\x08\0\0\0"s + std::string(60, '\0');
  EXPECT_EQ(format("x.NEF", tiff), "a camera's raw file");
  EXPECT_EQ(format("a/b.dng", tiff), "a camera's raw file");
  EXPECT_EQ(format("x", "II*\0\x10\0\0\0CR\2\0"s), "a camera's raw file");
  EXPECT_EQ(format("x.cr3", "\0\0\0\x18"s + "ftypcrx \0\0\0\1crx isom"s), "a camera's raw file");
  EXPECT_EQ(format("x.tif", tiff), "");
  EXPECT_EQ(format("x", tiff), "");
  EXPECT_EQ(format("x.dng", "notes about a picture"), "");
}

TEST(UnreadFormatsTest, WhatIsReadOrIsNoPictureHasNone) {
  EXPECT_EQ(format("x.tga", "\x89PNG\r\n\x1a\n"), "");
  EXPECT_EQ(format("x.tga", "\0\0\2\0"s), "TGA");
  EXPECT_EQ(format("x", "\0\0\0\x18"s + "ftypmif1\0\0\0\0mif1heic"s), "");
  EXPECT_EQ(format("x.txt", "P6 is a processor"), "");
  EXPECT_EQ(format("x.txt", "\xff\x0a"), "");
  EXPECT_EQ(format("x.html", "<!DOCTYPE html><svg/>"), "");
  EXPECT_EQ(format("x.xml", "<?xml version='1.0'?><data/>"), "");
  EXPECT_EQ(format("x.mpg", "\0\0\1\xba"s + "\x44\0\4\0\4\1"s), "");
  EXPECT_EQ(format("x", ""), "");
}

TEST(UnreadFormatsTest, ExtensionsAreThoseOfTheLastName) {
  EXPECT_EQ(extension_of("a.b/c.PNG"), ".png");
  EXPECT_EQ(extension_of("a.b/c"), "");
  EXPECT_EQ(extension_of("a/.hidden"), "");
  EXPECT_EQ(extension_of("a."), "");
  EXPECT_EQ(extension_of("a.tar.gz"), ".gz");
}

}  // namespace
}  // namespace ddpm
