// The blocks of Inception-v3. They differ from torchvision's in two points, which are those of the
// TensorFlow network that the field's figures come from, as pytorch-fid has them: means of pooling
// do not count padding, and the last block pools by maxima.
#include "ddpm/eval/inception_network.h"

namespace ddpm {
namespace {

// Reads the layers of one block.
class Block {
 public:
  Block(const StateDictSource& source, std::string name)
      : source_(source), name_(std::move(name)) {}

  InceptionLayer pointwise(const char* layer, int64_t in, int64_t out) const {
    return read(layer, {.in = in, .out = out});
  }
  // The map keeps its size.
  InceptionLayer same(const char* layer, int64_t in, int64_t out, int64_t rows,
                      int64_t columns) const {
    return read(layer, {.in = in,
                        .out = out,
                        .kernel_height = rows,
                        .kernel_width = columns,
                        .pad_rows = rows / 2,
                        .pad_columns = columns / 2});
  }
  // 3x3, only where the kernel is inside the map.
  InceptionLayer valid(const char* layer, int64_t in, int64_t out, int64_t stride) const {
    return read(layer,
                {.in = in, .out = out, .kernel_height = 3, .kernel_width = 3, .stride = stride});
  }

 private:
  InceptionLayer read(const char* layer, const InceptionConv& shape) const {
    return InceptionLayer(source_, name_ + layer, shape);
  }
  const StateDictSource& source_;
  std::string name_;
};

Tensor mean_pool(const Tensor& x) { return inception_pool(InceptionPool::kMean, x); }
Tensor halving_pool(const Tensor& x) { return inception_pool(InceptionPool::kMaximumHalving, x); }

// Until the map is 35 x 35.
struct Stem {
  explicit Stem(const Block& block)
      : conv1(block.valid("Conv2d_1a_3x3", 3, 32, 2)),
        conv2(block.valid("Conv2d_2a_3x3", 32, 32, 1)),
        conv3(block.same("Conv2d_2b_3x3", 32, 64, 3, 3)),
        conv4(block.pointwise("Conv2d_3b_1x1", 64, 80)),
        conv5(block.valid("Conv2d_4a_3x3", 80, 192, 1)) {}
  Tensor operator()(const Tensor& x) const {
    const Tensor y = halving_pool(conv3(conv2(conv1(x))));
    return halving_pool(conv5(conv4(y)));
  }
  InceptionLayer conv1, conv2, conv3, conv4, conv5;
};

// 35 x 35.
struct BlockA {
  BlockA(const Block& block, int64_t in, int64_t pooled)
      : single(block.pointwise("branch1x1", in, 64)),
        five1(block.pointwise("branch5x5_1", in, 48)),
        five2(block.same("branch5x5_2", 48, 64, 5, 5)),
        double1(block.pointwise("branch3x3dbl_1", in, 64)),
        double2(block.same("branch3x3dbl_2", 64, 96, 3, 3)),
        double3(block.same("branch3x3dbl_3", 96, 96, 3, 3)),
        pool(block.pointwise("branch_pool", in, pooled)) {}
  Tensor operator()(const Tensor& x) const {
    return concat_maps(
        {single(x), five2(five1(x)), double3(double2(double1(x))), pool(mean_pool(x))});
  }
  InceptionLayer single, five1, five2, double1, double2, double3, pool;
};

// To 17 x 17.
struct BlockB {
  BlockB(const Block& block, int64_t in)
      : single(block.valid("branch3x3", in, 384, 2)),
        double1(block.pointwise("branch3x3dbl_1", in, 64)),
        double2(block.same("branch3x3dbl_2", 64, 96, 3, 3)),
        double3(block.valid("branch3x3dbl_3", 96, 96, 2)) {}
  Tensor operator()(const Tensor& x) const {
    return concat_maps({single(x), double3(double2(double1(x))), halving_pool(x)});
  }
  InceptionLayer single, double1, double2, double3;
};

// 17 x 17.
struct BlockC {
  BlockC(const Block& block, int64_t inner)
      : single(block.pointwise("branch1x1", 768, 192)),
        seven1(block.pointwise("branch7x7_1", 768, inner)),
        seven2(block.same("branch7x7_2", inner, inner, 1, 7)),
        seven3(block.same("branch7x7_3", inner, 192, 7, 1)),
        double1(block.pointwise("branch7x7dbl_1", 768, inner)),
        double2(block.same("branch7x7dbl_2", inner, inner, 7, 1)),
        double3(block.same("branch7x7dbl_3", inner, inner, 1, 7)),
        double4(block.same("branch7x7dbl_4", inner, inner, 7, 1)),
        double5(block.same("branch7x7dbl_5", inner, 192, 1, 7)),
        pool(block.pointwise("branch_pool", 768, 192)) {}
  Tensor operator()(const Tensor& x) const {
    return concat_maps({single(x), seven3(seven2(seven1(x))),
                        double5(double4(double3(double2(double1(x))))), pool(mean_pool(x))});
  }
  InceptionLayer single, seven1, seven2, seven3;
  InceptionLayer double1, double2, double3, double4, double5, pool;
};

// To 8 x 8.
struct BlockD {
  explicit BlockD(const Block& block)
      : three1(block.pointwise("branch3x3_1", 768, 192)),
        three2(block.valid("branch3x3_2", 192, 320, 2)),
        seven1(block.pointwise("branch7x7x3_1", 768, 192)),
        seven2(block.same("branch7x7x3_2", 192, 192, 1, 7)),
        seven3(block.same("branch7x7x3_3", 192, 192, 7, 1)),
        seven4(block.valid("branch7x7x3_4", 192, 192, 2)) {}
  Tensor operator()(const Tensor& x) const {
    return concat_maps({three2(three1(x)), seven4(seven3(seven2(seven1(x)))), halving_pool(x)});
  }
  InceptionLayer three1, three2, seven1, seven2, seven3, seven4;
};

// 8 x 8.
struct BlockE {
  BlockE(const Block& block, int64_t in, InceptionPool how_to_pool)
      : single(block.pointwise("branch1x1", in, 320)),
        three1(block.pointwise("branch3x3_1", in, 384)),
        three2a(block.same("branch3x3_2a", 384, 384, 1, 3)),
        three2b(block.same("branch3x3_2b", 384, 384, 3, 1)),
        double1(block.pointwise("branch3x3dbl_1", in, 448)),
        double2(block.same("branch3x3dbl_2", 448, 384, 3, 3)),
        double3a(block.same("branch3x3dbl_3a", 384, 384, 1, 3)),
        double3b(block.same("branch3x3dbl_3b", 384, 384, 3, 1)),
        pool(block.pointwise("branch_pool", in, 192)),
        pooling(how_to_pool) {}
  Tensor operator()(const Tensor& x) const {
    const Tensor three = three1(x), twice = double2(double1(x));
    return concat_maps({single(x), three2a(three), three2b(three), double3a(twice), double3b(twice),
                        pool(inception_pool(pooling, x))});
  }
  InceptionLayer single, three1, three2a, three2b, double1, double2, double3a, double3b, pool;
  InceptionPool pooling;
};

}  // namespace

struct InceptionNetwork::Layers {
  explicit Layers(const StateDictSource& source)
      : stem(Block(source, "")),
        a1(Block(source, "Mixed_5b."), 192, 32),
        a2(Block(source, "Mixed_5c."), 256, 64),
        a3(Block(source, "Mixed_5d."), 288, 64),
        b(Block(source, "Mixed_6a."), 288),
        c1(Block(source, "Mixed_6b."), 128),
        c2(Block(source, "Mixed_6c."), 160),
        c3(Block(source, "Mixed_6d."), 160),
        c4(Block(source, "Mixed_6e."), 192),
        d(Block(source, "Mixed_7a.")),
        e1(Block(source, "Mixed_7b."), 1280, InceptionPool::kMean),
        e2(Block(source, "Mixed_7c."), 2048, InceptionPool::kMaximum) {}
  Stem stem;
  BlockA a1, a2, a3;
  BlockB b;
  BlockC c1, c2, c3, c4;
  BlockD d;
  BlockE e1, e2;
};

InceptionNetwork::InceptionNetwork(const StateDictSource& source)
    : layers_(std::make_unique<const Layers>(source)) {}

InceptionNetwork::~InceptionNetwork() = default;

Tensor InceptionNetwork::operator()(const Tensor& x) const {
  const Layers& l = *layers_;
  Tensor y = l.a3(l.a2(l.a1(l.stem(x))));
  y = l.c4(l.c3(l.c2(l.c1(l.b(y)))));
  return mean_over_positions(l.e2(l.e1(l.d(y))));
}

}  // namespace ddpm
