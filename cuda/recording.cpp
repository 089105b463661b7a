#include "cuda/recording.h"

#include <utility>

namespace gs::cuda {
namespace {

class GraphRecording final : public Recording {
  public:
    GraphRecording(std::shared_ptr<Context> context, GraphExec graph)
        : context_(std::move(context)), graph_(std::move(graph)), generation_(context_->generation()) {}

    bool replay() override {
        if (generation_ != context_->generation()) return false;
        check(cudaGraphLaunch(graph_.get(), context_->stream()), "launch of a recorded batch");
        return true;
    }

  private:
    std::shared_ptr<Context> context_;
    GraphExec graph_;
    uint64_t generation_;
};

// A stream that captures while it lives.
class Capture {
  public:
    explicit Capture(cudaStream_t stream) : stream_(stream) {
        check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "begin of a capture");
    }
    ~Capture() {
        if (stream_ != nullptr) end();
    }
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;
    // Empty where the capture has been broken.
    Graph end() {
        cudaGraph_t graph = nullptr;
        const cudaError_t status = cudaStreamEndCapture(std::exchange(stream_, nullptr), &graph);
        if (status != cudaSuccess)
            cudaGetLastError();  // said by the empty graph; later calls are not to find it
        return Graph(graph);
    }

  private:
    cudaStream_t stream_;
};

}  // namespace

std::unique_ptr<Recording> record_graph(std::shared_ptr<Context> context, const std::function<void()>& work) {
    const uint64_t before = context->generation();
    Graph graph;
    try {
        Capture capture(context->stream());
        work();
        graph = capture.end();
    } catch (const Error&) {  // something in it may not be captured: it runs as it did
        return nullptr;
    }
    if (!graph || context->generation() != before) return nullptr;
    cudaGraphExec_t exec = nullptr;
    if (cudaGraphInstantiate(&exec, graph.get(), 0) != cudaSuccess) {
        cudaGetLastError();
        return nullptr;
    }
    return std::make_unique<GraphRecording>(std::move(context), GraphExec(exec));
}

}  // namespace gs::cuda
