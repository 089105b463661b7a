#include "tools/batch_record.h"

#include <algorithm>

#include "core/byte_codec.h"

namespace gs {
namespace {

void encode(ByteEncoder& out, const Matrix& matrix) {
    out.number(matrix.rows);
    out.number(matrix.cols);
    out.numbers(std::span<const float>(matrix.values));
}

Matrix decode_matrix(ByteDecoder& in, int64_t rows) {
    Matrix matrix{.rows = in.number<int64_t>(), .cols = in.number<int64_t>()};
    matrix.values = in.numbers<float>();
    const auto size = static_cast<int64_t>(matrix.values.size());
    in.require(matrix.rows == rows && matrix.cols >= 0 &&
               (rows > 0 ? size % rows == 0 && matrix.cols == size / rows : size == 0));
    return matrix;
}

// The arrays of the request in its order; at(map, key) finds one.
template <class M, class E, class At>
std::vector<M*> collect(const Request& request, E& evidence, const At& at) {
    std::vector<M*> arrays;
    if (request.logits) arrays.push_back(&evidence.logits);
    if (request.features) arrays.push_back(&evidence.features);
    for (const TapReduction& tap : request.activations) arrays.push_back(at(evidence.activations, tap));
    for (const Backward& backward : request.backwards) {
        const Cotangent& cotangent = backward.cotangent;
        for (const TapReduction& tap : backward.gradients)
            arrays.push_back(at(evidence.gradients, std::pair{cotangent, tap}));
        if (backward.input_gradient) arrays.push_back(at(evidence.input_gradients, cotangent));
        for (const SecondPass& second : backward.second)
            arrays.push_back(at(evidence.second_passes, std::pair{cotangent, second}));
        for (const WeightNorm& norm : backward.weight_norms)
            arrays.push_back(at(evidence.weight_norms, std::pair{cotangent, norm}));
    }
    return arrays;
}

// Of an image in its set: so far from the type's end that sums of them are numbers, too.
void require_index(const ByteDecoder& in, int64_t index) {
    in.require(index >= 0 && index < int64_t{1} << 48);
}

BatchHead head(ByteDecoder& in) {
    BatchHead head{.stage = in.text()};
    const auto flag = in.number<uint8_t>();
    in.require(flag <= 1);
    head.ends_group = flag == 1;
    head.images = in.number<int64_t>();
    in.require(head.images > 0 && head.images <= int64_t{1} << 32);
    return head;
}

}  // namespace

int64_t BatchRecord::end(int64_t otherwise) const {
    const int64_t used = indices.empty() ? otherwise : indices.back() + 1;
    return failures.empty() ? used : std::max(used, failures.back().index + 1);
}

std::vector<Matrix*> arrays_of(const Request& request, Evidence& evidence) {
    return collect<Matrix>(request, evidence, [](auto& map, const auto& key) { return &map[key]; });
}

std::vector<const Matrix*> arrays_of(const Request& request, const Evidence& evidence) {
    return collect<const Matrix>(request, evidence, [](const auto& map, const auto& key) {
        const auto found = map.find(key);
        GS_REQUIRE(found != map.end());
        return &found->second;
    });
}

void append_rows(Evidence& to, const Evidence& from, const Request& request) {
    if (from.samples == 0) return;
    const std::vector<const Matrix*> sources = arrays_of(request, from);
    const std::vector<Matrix*> targets = arrays_of(request, to);
    for (size_t i = 0; i < sources.size(); ++i) {
        GS_REQUIRE(sources[i]->rows == from.samples);
        targets[i]->append(sources[i]->values, sources[i]->cols);
    }
    to.samples += from.samples;
}

Evidence part_of(const Evidence& evidence, const Request& request) {
    Evidence part;
    append_rows(part, evidence, request);
    return part;
}

std::vector<std::byte> encode_batch(const std::string& stage, const BatchRecord& record,
                                    const Request& arrays) {
    ByteEncoder out;
    out.text(stage);
    out.number(static_cast<uint8_t>(record.ends_group));
    out.number(static_cast<int64_t>(record.indices.size() + record.failures.size()));
    out.number(record.seconds);
    out.number(record.group);
    out.numbers(std::span<const int64_t>(record.indices));
    for (const std::string& digest : record.digests) out.text(digest);
    out.number(static_cast<uint64_t>(record.failures.size()));
    for (const LoadFailure& failure : record.failures) {
        out.number(failure.index);
        out.text(failure.reason);
    }
    out.numbers(std::span<const int64_t>(record.predictions));
    for (const auto& column : record.scores) out.numbers(std::span<const double>(column));
    if (!record.indices.empty())
        for (const Matrix* matrix : arrays_of(arrays, record.evidence)) encode(out, *matrix);
    return out.take();
}

BatchHead decode_head(std::span<const std::byte> bytes) {
    ByteDecoder in(bytes, "the record of a batch");
    return head(in);
}

BatchRecord decode_batch(std::span<const std::byte> bytes, size_t methods, const Request& arrays) {
    ByteDecoder in(bytes, "the record of a batch");
    BatchRecord record;
    const BatchHead first = head(in);
    record.ends_group = first.ends_group;
    record.seconds = in.number<double>();
    record.group = in.number<int64_t>();
    in.require(record.seconds >= 0 && record.group > 0);
    record.indices = in.numbers<int64_t>();
    for (const int64_t index : record.indices) require_index(in, index);
    const size_t images = record.indices.size();
    for (size_t i = 0; i < images; ++i) {
        record.digests.push_back(in.text());
        in.require(record.digests.back().size() == 64);
    }
    constexpr size_t kLeastFailure = sizeof(int64_t) + sizeof(uint64_t);
    for (size_t left = in.count(kLeastFailure); left > 0; --left) {
        LoadFailure failure{.index = in.number<int64_t>(), .reason = ""};
        require_index(in, failure.index);
        failure.reason = in.text();
        record.failures.push_back(std::move(failure));
    }
    in.require(static_cast<int64_t>(images + record.failures.size()) == first.images);
    record.predictions = in.numbers<int64_t>();
    in.require(record.predictions.empty() || record.predictions.size() == images);
    for (size_t m = 0; m < methods; ++m) {
        record.scores.push_back(in.numbers<double>());
        in.require(record.scores.back().size() == images);
    }
    if (images > 0)
        for (Matrix* matrix : arrays_of(arrays, record.evidence))
            *matrix = decode_matrix(in, static_cast<int64_t>(images));
    record.evidence.samples = static_cast<int64_t>(images);
    in.end();
    return record;
}

}  // namespace gs
