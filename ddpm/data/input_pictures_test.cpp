#include "ddpm/data/input_pictures.h"

#include <gtest/gtest.h>

#include "ddpm/data/image_test_support.h"
#include "ddpm/data/source_test_support.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

using namespace test;
using Inputs = SourceTest;

TEST_F(Inputs, AFileAndAFolderGivePicturesOfTheirOwnSize) {
  add("b.png", flat(5, 9, {10, 20, 30}));
  add("in/a.png", flat(40, 30, {7}));
  add("notes.txt", "text");
  const InputPictures all(folder_.string());
  EXPECT_EQ(all.names(), (std::vector<std::string>{"b.png", "in/a.png"}));
  EXPECT_EQ(all.load(0).shape(), (Shape{5, 9, 3}));
  EXPECT_EQ(all.load(1).shape(), (Shape{40, 30, 1}));
  const InputPictures one((folder_ / "in/a.png").string());
  EXPECT_EQ(one.names(), (std::vector<std::string>{"a.png"}));
  EXPECT_EQ(one.folder(), (folder_ / "in/").string());
  EXPECT_EQ(one.load(0).shape(), (Shape{40, 30, 1}));
}

TEST_F(Inputs, AJpegIsDecodedInFullAndUpright) {
  add("photo.jpg", make_jpeg(flat(64, 48, {90, 60, 30})));
  EXPECT_EQ(InputPictures((folder_ / "photo.jpg").string()).load(0).shape(), (Shape{64, 48, 3}));
  add("turned.tif",
      make_tiff(3, 2, std::string(6, 'x'), {.orientation = 6, .palette = {}, .profile = {}}));
  EXPECT_EQ(InputPictures((folder_ / "turned.tif").string()).load(0).shape(), (Shape{3, 2, 1}));
}

TEST_F(Inputs, WhatCannotBeReadIsNamed) {
  EXPECT_SAYS(message_of([&] { InputPictures((folder_ / "absent.png").string()); }), "absent.png");
  EXPECT_SAYS(message_of([&] { InputPictures(folder_.string()); }), "is empty");
  add("damaged.png", std::string("\x89PNG\r\n\x1a\n") + "no");
  const InputPictures damaged(folder_.string());
  EXPECT_SAYS(message_of([&] { damaged.load(0); }), "damaged.png");
  add("text.png", "no picture");
  const InputPictures text((folder_ / "text.png").string());
  EXPECT_SAYS(message_of([&] { text.load(0); }), "this is not a PNG");
}

}  // namespace
}  // namespace ddpm
