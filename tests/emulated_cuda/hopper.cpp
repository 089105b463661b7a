#include "tests/emulated_cuda/hopper.h"

#include <cuda_runtime.h>

#include <bit>
#include <stdexcept>

namespace gs::emulated {
namespace {

constexpr uint32_t kSharedBase = 1024 + 128;
constexpr uint32_t kUnit = 16;  // bytes that move together in every swizzle

void require(bool condition, const char* what) {
    if (!condition) throw std::logic_error(what);
}

std::byte* at_shared(uint32_t address, uint32_t bytes) {
    const auto memory = dynamic_shared_bytes();
    require(address >= kSharedBase && address - kSharedBase + bytes <= memory.size(),
            "an access beyond the block's shared memory");
    return memory.data() + (address - kSharedBase);
}

// Swizzles exchange units of 16 bytes within rows of 128: a unit's number, its lowest 1, 2 or 3 bits, by the
// row's.
uint32_t swizzled(uint32_t address, uint32_t mask, uint32_t base_row = 0) {
    return address ^ (((address / 128 - base_row) & mask) * kUnit);
}

// ---- mbarrier

struct Barrier {
    int32_t bytes;  // announced, less those that came
    uint8_t pending, expected, phase, made;
};
static_assert(sizeof(Barrier) == sizeof(uint64_t));

template <class F>
auto with_barrier(uint64_t* state, const F& f) {
    auto barrier = std::bit_cast<Barrier>(*state);
    require(barrier.made == 1, "a barrier that was not initialised");
    f(barrier);
    if (barrier.pending == 0 && barrier.bytes == 0) {
        barrier.phase ^= 1;
        barrier.pending = barrier.expected;
    }
    *state = std::bit_cast<uint64_t>(barrier);
}

void arrive(Barrier& barrier) {
    require(barrier.pending > 0, "more arrivals than a barrier expects");
    --barrier.pending;
}

// ---- Maps

size_t boxes = 0;
constexpr unsigned kRank = 4;
struct Map {
    const std::byte* data;
    uint64_t strides[kRank - 1];
    uint32_t sizes[kRank];
    uint16_t box[kRank];
    uint32_t swizzle_mask;
    uint32_t element;
};
static_assert(sizeof(Map) <= sizeof(CUtensorMap));

void copy_box(uint32_t to, const Map& map, const BoxPlace& place) {
    const uint32_t line = map.box[0] * map.element;
    uint32_t row = 0;
    for (int n = 0; n < map.box[3]; ++n)
        for (int h = 0; h < map.box[2]; ++h)
            for (int w = 0; w < map.box[1]; ++w, ++row)
                for (uint32_t c = 0; c < map.box[0]; ++c) {
                    const int64_t at[] = {place.at[0] + static_cast<int64_t>(c), int64_t{place.at[1]} + w,
                                          int64_t{place.at[2]} + h, int64_t{place.at[3]} + n};
                    bool inside = true;
                    int64_t offset = at[0] * map.element;
                    for (unsigned d = 0; d < kRank; ++d) {
                        inside = inside && at[d] >= 0 && at[d] < map.sizes[d];
                        if (d > 0) offset += at[d] * static_cast<int64_t>(map.strides[d - 1]);
                    }
                    std::byte* shared =
                        at_shared(swizzled(to + row * line + c * map.element, map.swizzle_mask), map.element);
                    if (inside)
                        std::memcpy(shared, map.data + offset, map.element);
                    else
                        std::memset(shared, 0, map.element);
                }
}

// ---- wgmma

// A matrix in shared memory, by its descriptor. `line`: the index along M or N.
class Matrix {
  public:
    Matrix(uint64_t bits, bool transposed) : transposed_(transposed) {
        const auto field = [&](unsigned from, unsigned count) {
            return static_cast<uint32_t>(bits >> from & ((1u << count) - 1));
        };
        require(field(14, 2) == 0 && field(30, 2) == 0 && field(46, 3) == 0 && field(52, 10) == 0,
                "a descriptor with bits that mean nothing");
        start_ = field(0, 14) * kUnit;
        leading_ = field(16, 14) * kUnit;
        stride_ = field(32, 14) * kUnit;
        base_ = field(49, 3);
        constexpr uint32_t kUnits[] = {1, 8, 4, 2};  // no swizzle, 128, 64, 32 bytes
        units_ = kUnits[field(62, 2)];
        require((start_ / 128 - base_) % units_ == 0,
                "a base offset that is not where the swizzle's pattern starts");
    }
    double at(uint32_t line, uint32_t depth) const {
        const uint32_t along = transposed_ ? line : depth, across = transposed_ ? depth : line;
        const uint32_t unit = along / 8;
        uint32_t offset = along % 8 * 2;
        if (units_ == 1 && transposed_)
            offset += unit * stride_ + across % 8 * kUnit + across / 8 * leading_;
        else if (units_ == 1)
            offset += unit * leading_ + across % 8 * kUnit + across / 8 * stride_;
        else
            offset += unit % units_ * kUnit + unit / units_ * leading_ + across % 8 * units_ * kUnit +
                      across / 8 * stride_;
        uint16_t value;
        std::memcpy(&value, at_shared(swizzled(start_ + offset, units_ - 1, base_), 2), 2);
        return static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(value) << 16));
    }

  private:
    bool transposed_;
    uint32_t start_, leading_, stride_, base_, units_;
};

constexpr uint32_t kDepth = 16;

void multiply(float* d, uint32_t n, const Matrix& a, const Matrix& b, uint32_t thread) {
    const uint32_t lane = thread % kWarp, row = thread % 128 / kWarp * 16 + lane / 4;
    double left[2][kDepth];
    for (uint32_t k = 0; k < kDepth; ++k)
        for (uint32_t half = 0; half < 2; ++half) left[half][k] = a.at(row + 8 * half, k);
    for (uint32_t column = 2 * (lane % 4); column < n; column += column % 2 == 0 ? 1 : 7) {
        double right[kDepth];
        for (uint32_t k = 0; k < kDepth; ++k) right[k] = b.at(column, k);
        for (uint32_t half = 0; half < 2; ++half) {
            float& sum = d[column / 8 * 4 + half * 2 + column % 2];
            double exact = static_cast<double>(sum);
            for (uint32_t k = 0; k < kDepth; ++k) exact += left[half][k] * right[k];
            sum = cut_to_float(exact);
        }
    }
}

}  // namespace

uint32_t shared_address(const void* shared) {
    return kSharedBase +
           static_cast<uint32_t>(static_cast<const std::byte*>(shared) - dynamic_shared_bytes().data());
}

void mbarrier_init(uint64_t* barrier, int arrivals) {
    require(arrivals > 0 && arrivals < 256, "a barrier's number of arrivals");
    const auto count = static_cast<uint8_t>(arrivals);
    *barrier = std::bit_cast<uint64_t>(
        Barrier{.bytes = 0, .pending = count, .expected = count, .phase = 0, .made = 1});
}
void mbarrier_arrive(uint64_t* barrier) {
    with_barrier(barrier, arrive);
}
void mbarrier_arrive_expecting(uint64_t* barrier, int bytes) {
    with_barrier(barrier, [&](Barrier& b) {
        b.bytes += bytes;
        arrive(b);
    });
}
void mbarrier_wait(uint64_t* barrier, unsigned parity) {
    with_barrier(barrier, [](Barrier&) {});
    wait_until([=] { return std::bit_cast<Barrier>(*barrier).phase != parity; });
}

void load_box(void* to, const CUtensorMap& encoded, const BoxPlace& place, uint64_t* barrier) {
    require(reinterpret_cast<uintptr_t>(&encoded) % 64 == 0, "a tensor map's own address");
    const uint32_t address = shared_address(to);
    require(address % 128 == 0, "a box's place in shared memory");
    ++boxes;
    Map map;
    std::memcpy(&map, &encoded, sizeof map);
    start_async([=] {
        copy_box(address, map, place);
        int bytes = static_cast<int>(map.element);
        for (const uint16_t size : map.box) bytes *= size;
        with_barrier(barrier, [&](Barrier& b) { b.bytes -= bytes; });
    });
}

size_t loaded_boxes() {
    return boxes;
}

void wgmma_fence() {
    products().fenced = true;
}
void wgmma(float* d, int n, uint64_t a, uint64_t b, bool a_transposed, bool b_transposed) {
    require(products().fenced, "a group of products without wgmma.fence before it");
    const Matrix left(a, a_transposed), right(b, b_transposed);
    const auto work = [=, thread = thread_index()] {
        multiply(d, static_cast<uint32_t>(n), left, right, thread);
    };
    if (chance() && !products().groups.has_work())  // sums are made in order
        work();
    else
        products().groups.start(work);
}
void wgmma_commit() {
    products().groups.commit();
    products().fenced = false;
}
void wgmma_wait(unsigned left) {
    products().groups.wait(left);
}

}  // namespace gs::emulated

// Refuses what the driver does (CUDA driver API, cuTensorMapEncodeTiled), and what is not emulated.
CUresult cuTensorMapEncodeTiled(CUtensorMap* encoded, CUtensorMapDataType, cuuint32_t rank, void* address,
                                const cuuint64_t* sizes, const cuuint64_t* strides, const cuuint32_t* box,
                                const cuuint32_t* element_strides, CUtensorMapInterleave,
                                CUtensorMapSwizzle swizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
    using gs::emulated::kRank;
    gs::emulated::Map map{.data = static_cast<const std::byte*>(address),
                          .strides = {},
                          .sizes = {},
                          .box = {},
                          .swizzle_mask = (1u << static_cast<unsigned>(swizzle)) - 1,
                          .element = 2};
    bool good = rank == kRank && reinterpret_cast<uintptr_t>(address) % 16 == 0;
    for (cuuint32_t d = 0; good && d < kRank; ++d) {
        good = sizes[d] >= 1 && sizes[d] <= 0xffffffffu && box[d] >= 1 && box[d] <= 256 &&
               element_strides[d] == 1;
        if (d > 0) good = good && strides[d - 1] % 16 == 0 && strides[d - 1] < (cuuint64_t{1} << 40);
        map.sizes[d] = static_cast<uint32_t>(sizes[d]);
        map.box[d] = static_cast<uint16_t>(box[d]);
        if (d > 0) map.strides[d - 1] = strides[d - 1];
    }
    // Rows of the swizzle are as long as the box's innermost side.
    good =
        good && (swizzle == CU_TENSOR_MAP_SWIZZLE_NONE ? box[0] * 2 % 16 == 0
                                                       : box[0] * 2 == 16u << static_cast<unsigned>(swizzle));
    if (!good) return CUDA_ERROR_INVALID_VALUE;
    std::memcpy(encoded, &map, sizeof map);
    return CUDA_SUCCESS;
}
