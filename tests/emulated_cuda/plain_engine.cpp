// Convolutions of the emulated device as plain loops in float64, their operands read as stored.
#include "cuda/convolution_engine.h"

namespace gs::cuda {
namespace {

double at(const void* data, DType type, int64_t i) {
    return type == DType::BF16 ? static_cast<double>(static_cast<float>(static_cast<const Bf16*>(data)[i]))
                               : static_cast<double>(static_cast<const float*>(data)[i]);
}
void put(const View& to, int64_t i, double value) {
    if (to.dtype == DType::BF16)
        to.bf16()[i] = Bf16(static_cast<float>(value));
    else
        to.f32()[i] = static_cast<float>(value);
}

// f(index in y, index in x, index in w) for every product of one sample.
template <class F>
void products(const ConvSpec& spec, const Shape& x, const Shape& y, int64_t n, const F& f) {
    for (int64_t p = 0; p < y.pixels(); ++p)
        for (int64_t kh = 0; kh < spec.kernel_h; ++kh)
            for (int64_t kw = 0; kw < spec.kernel_w; ++kw) {
                const int64_t ih = p / y.w * spec.stride + kh - spec.pad,
                              iw = p % y.w * spec.stride + kw - spec.pad;
                if (ih < 0 || ih >= x.h || iw < 0 || iw >= x.w) continue;
                for (int64_t o = 0; o < y.c; ++o)
                    for (int64_t c = 0; c < x.c; ++c)
                        f((n * y.pixels() + p) * y.c + o, ((n * x.h + ih) * x.w + iw) * x.c + c,
                          ((o * spec.kernel_h + kh) * spec.kernel_w + kw) * x.c + c);
            }
}

class PlainEngine final : public ConvolutionEngine {
  public:
    explicit PlainEngine(Context& context) : context_(context) {}
    std::string description() const override { return "plain convolutions"; }

    void forward(const ConvSpec& spec, View x, DeviceKernel w, const float* bias, Activation activation,
                 View y) override {
        require(spec, x, y);
        GS_REQUIRE(w.type == x.dtype && activation != Activation::Relu6);
        later([=] {
            std::vector<double> sum(static_cast<size_t>(y.shape.size()));
            for (int64_t n = 0; n < y.shape.n; ++n)
                products(spec, x.shape, y.shape, n, [&](int64_t to, int64_t from, int64_t k) {
                    sum[static_cast<size_t>(to)] += at(x.data, x.dtype, from) * at(w.data, w.type, k);
                });
            for (int64_t i = 0; i < y.shape.size(); ++i) {
                double value = sum[static_cast<size_t>(i)];
                if (bias != nullptr) value += static_cast<double>(bias[i % y.shape.c]);
                put(y, i, activation == Activation::Relu && value < 0 ? 0 : value);
            }
        });
    }
    void backward_data(const ConvSpec& spec, View dy, DeviceKernel w, View dx) override {
        require(spec, dx, dy);
        later([=] {
            std::vector<double> sum(static_cast<size_t>(dx.shape.size()));
            for (int64_t n = 0; n < dy.shape.n; ++n)
                products(spec, dx.shape, dy.shape, n, [&](int64_t from, int64_t to, int64_t k) {
                    sum[static_cast<size_t>(to)] += at(dy.data, dy.dtype, from) * at(w.data, w.type, k);
                });
            for (int64_t i = 0; i < dx.shape.size(); ++i) put(dx, i, sum[static_cast<size_t>(i)]);
        });
    }
    void backward_weights(const ConvSpec& spec, View x, View dy, float* dw) override {
        require(spec, x, dy);
        later([=] {
            std::vector<double> sum(static_cast<size_t>(weight_shape(spec).size()));
            for (int64_t n = 0; n < dy.shape.n; ++n)
                products(spec, x.shape, dy.shape, n, [&](int64_t out, int64_t in, int64_t k) {
                    sum[static_cast<size_t>(k)] += at(dy.data, dy.dtype, out) * at(x.data, x.dtype, in);
                });
            for (size_t i = 0; i < sum.size(); ++i) dw[i] = static_cast<float>(sum[i]);
        });
    }

  private:
    Context& context_;

    void later(std::function<void()> work) { gs::emulated::enqueue(context_.stream(), std::move(work)); }
    static void require(const ConvSpec& spec, const View& x, const View& y) {
        GS_REQUIRE(spec.groups == 1 && x.dtype == y.dtype && x.shape.c == spec.in_channels);
        GS_REQUIRE(y.shape == spec.output_shape(x.shape));
        // What real engines need: channels in whole accesses of 16 bytes, but for products of float32.
        const bool product = spec.kernel_h == 1 && spec.kernel_w == 1 && spec.stride == 1 && spec.pad == 0;
        const int64_t step = x.dtype == DType::BF16 ? 8 : product ? 1 : 4;
        GS_REQUIRE(x.shape.c % step == 0 && y.shape.c % step == 0);
    }
};

}  // namespace

std::unique_ptr<ConvolutionEngine> make_convolution_engine(Context& context) {
    return std::make_unique<PlainEngine>(context);
}

}  // namespace gs::cuda
