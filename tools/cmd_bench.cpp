// gradscore bench and gradscore plan: what a set of methods costs, measured and planned.
#include <algorithm>
#include <chrono>
#include <functional>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "passes/executor.h"
#include "report/text.h"
#include "scores/statistics.h"
#include "tools/commands.h"
#include "tools/plan_text.h"
#include "tools/search_file.h"
#include "tools/setup.h"

namespace gs {
namespace {

Net bench_net(Backend& backend, const NetFlags& flags, int64_t classes, uint64_t seed) {
    if (!flags.weights.empty()) return load_net(backend, flags).net;
    if (flags.net == "auto") throw Error(ErrorKind::Usage, "give --net NAME or --weights FILE");
    const int64_t usual = flags.net.ends_with("-cifar") || flags.net.starts_with("wrn-") ? 10 : 1000;
    return build_random_net(backend, flags.net, classes > 0 ? classes : usual, seed);
}

// "forward" stands for the logits alone, which is no score.
struct Methods {
    std::vector<MethodSpec> specs;
    std::vector<std::unique_ptr<Score>> scores;
    Request request{.logits = true};
};

std::vector<MethodSpec> read_methods(const std::string& list, const Net& net, const std::string& precision) {
    if (list == "forward") return {};
    std::vector<MethodSpec> specs = expand_layers(parse_methods(list), net);
    use_search_files(specs, computation_of(net, net.preprocess, precision), nullptr);
    return specs;
}

// Without statistics, methods that need a fit can be planned.
Methods make_methods(std::vector<MethodSpec> specs, const Net& net, StatisticsStore* statistics = nullptr) {
    Methods methods;
    methods.specs = std::move(specs);
    for (const MethodSpec& spec : methods.specs) {
        methods.scores.push_back(make_score(spec, {net, net.preprocess, statistics}));
        methods.request.merge(methods.scores.back()->request());
    }
    return methods;
}

// A few that come again and again: to draw hundreds of large ones takes longer than to score them.
std::vector<float> random_images(int64_t n, int64_t size, uint64_t seed) {
    constexpr int64_t kDrawn = 8;
    const auto floats = [&](int64_t images) { return images * size * size * 3; };
    std::mt19937_64 generator(seed);
    std::normal_distribution<float> normal;
    std::vector<float> pixels(static_cast<size_t>(floats(n)));
    const auto drawn = pixels.begin() + floats(std::min(n, kDrawn));
    std::generate(pixels.begin(), drawn, [&] { return normal(generator); });
    for (auto at = drawn; at < pixels.end();)
        at = std::copy_n(pixels.begin(), std::min(drawn - pixels.begin(), pixels.end() - at), at);
    return pixels;
}

// A fit on a few random images, which take every class in turn: what scoring costs does not depend on them.
void fit_on_random(Backend& backend, const Net& net, std::span<const MethodSpec> specs, int64_t size,
                   uint64_t seed, StatisticsStore& statistics) {
    constexpr int64_t kImages = 8;
    const std::vector<float> pixels = random_images(kImages, size, seed + 1);
    for (const MethodSpec& spec : specs) {
        if (!needs_fit(spec)) continue;
        const auto fit = make_fit(spec, {net, net.preprocess, &statistics});
        Executor executor(backend, net, fit->request());
        const Evidence evidence = executor.run(pixels, kImages, size, size);
        for (int64_t first = 0; first < net.head.classes; first += kImages) {
            std::vector<int64_t> labels(kImages);
            for (int64_t i = 0; i < kImages; ++i)
                labels[static_cast<size_t>(i)] = (first + i) % net.head.classes;
            fit->add(evidence, labels);
        }
        FitState state = fit->state();
        complete_state(state);
        statistics.add(std::move(state));
    }
}

struct Seconds {
    double all = 0, scores = 0;  // of them in Score::compute
};

Seconds run_once(Executor& executor, const Methods& methods, std::span<const float> pixels, int64_t n,
                 int64_t size) {
    const auto start = std::chrono::steady_clock::now();
    const Evidence evidence = executor.run(pixels, n, size, size);
    const double net = seconds_since(start);
    std::vector<double> out(static_cast<size_t>(n));
    for (const auto& score : methods.scores) score->compute(evidence, out);
    const double all = seconds_since(start);
    return {all, all - net};
}

double mib(size_t bytes) {
    return static_cast<double>(bytes) / (1 << 20);
}

nlohmann::json plan_json(const Net& net, const Plan& plan, const std::string& methods) {
    nlohmann::json backwards = nlohmann::json::array();
    for (const BackwardSummary& b : plan.backwards) {
        nlohmann::json names = nlohmann::json::array();
        for (const Cotangent& c : b.cotangents) names.push_back(to_string(c));
        backwards.push_back(
            {{"cotangents", names}, {"deepest", b.deepest}, {"layers", b.nodes}, {"flops", b.flops}});
        if (b.class_rows > 0) backwards.back()["class_rows"] = b.class_rows;
    }
    return {{"net", net.name},
            {"methods", methods},
            {"image", {plan.image.h, plan.image.w}},
            {"micro_batch", plan.max_batch},
            {"arena_mib", mib(plan.arena_bytes)},
            {"steps", plan.steps.size()},
            {"flops_forward", plan.flops(Step::Phase::Forward)},
            {"flops_backward", plan.flops(Step::Phase::Backward)},
            {"flops_second", plan.flops(Step::Phase::Second)},
            {"backwards", backwards}};
}

void print_plan(const Net& net, const Plan& plan, const std::string& methods, bool steps) {
    std::cout << net.name << " at " << plan.image.w << "x" << plan.image.h << ", methods " << methods << '\n';
    for (const std::string& line : plan_lines(net, plan)) std::cout << line << '\n';
    if (!steps) return;
    for (size_t i = 0; i < plan.steps.size(); ++i)
        std::cout << std::setw(5) << i << "  " << plan.steps[i].what << '\n';
}

void print_speed(const nlohmann::json& result, const BenchFlags& flags) {
    const auto number = [&](const char* key) { return result.at(key).get<double>(); };
    const auto images_a_second = [&](const char* key) {
        return fixed(number(key), number(key) < 10 ? 2 : 1);
    };
    std::cout << "speed       " << images_a_second("images_per_s") << " images/s ("
              << images_a_second("images_per_s_min") << " to " << images_a_second("images_per_s_max")
              << " in " << counted(flags.rounds, "round") << " of " << flags.images << "), "
              << human(number("gflop_per_s") * 1e9, "FLOP/s") << "\npeak        "
              << fixed(number("peak_MiB"), 0) << " MiB\ndevice      "
              << result.at("device").get<std::string>() << '\n';
}

// For a benchmark that runs several programs in turn: start-up and warm-up are not in its way.
void serve(const nlohmann::json& facts, const std::function<nlohmann::json()>& measured) {
    std::cout << facts.dump() << std::endl;
    for (std::string line; std::getline(std::cin, line) && line == "run";)
        std::cout << measured().dump() << std::endl;
}

}  // namespace

int run_bench(const BenchFlags& flags) {
    if (flags.images < 1 || flags.rounds < 1)
        throw Error(ErrorKind::Usage, "--images and --rounds: must be 1 or more");
    const auto begin = std::chrono::steady_clock::now();
    const auto backend = make_backend(flags.net);
    const Net net = bench_net(*backend, flags.net, flags.classes, flags.seed);
    const int64_t size = flags.size.value_or(default_input_size(net.architecture));
    StatisticsStore statistics("", computation_of(net, net.preprocess, flags.net.precision));
    const std::vector<MethodSpec> specs = read_methods(flags.methods, net, flags.net.precision);
    fit_on_random(*backend, net, specs, size, flags.seed, statistics);
    const Methods methods = make_methods(specs, net, &statistics);
    Executor executor(*backend, net, methods.request,
                      {.fuse = !flags.net.no_fuse, .micro_batch = flags.net.batch});
    const std::vector<float> pixels = random_images(flags.images, size, flags.seed);
    const double ready = seconds_since(begin);
    const double before = peak_memory_mib();

    const int64_t micro = executor.plan(size, size).max_batch;
    const int64_t warm = std::min(micro, flags.images);
    // Twice: a device chooses algorithms for the first batch and records the second.
    for (int i = 0; i < 2; ++i)
        run_once(executor, methods, std::span(pixels).first(static_cast<size_t>(warm * size * size * 3)),
                 warm, size);
    const Plan& plan = executor.plan(size, size);
    double flops = 0;
    for (const Step& step : plan.steps) flops += step.flops;
    nlohmann::json facts = plan_json(net, plan, flags.methods);
    facts.update({{"engine", "gradscore " + version()},
                  {"device", backend->description()},
                  {"precision", flags.net.precision},
                  {"threads", resolve_threads(flags.net.threads)},
                  {"batch", flags.net.batch},
                  {"images", flags.images},
                  {"start_up_s", ready}});
    const auto measured = [&] {
        std::vector<double> rates;
        double score_seconds = 0;
        for (int round = 0; round < flags.rounds; ++round) {
            const Seconds seconds = run_once(executor, methods, pixels, flags.images, size);
            rates.push_back(static_cast<double>(flags.images) / seconds.all);
            score_seconds += seconds.scores / static_cast<double>(flags.images * flags.rounds);
        }
        std::sort(rates.begin(), rates.end());
        const double rate = rates[rates.size() / 2];
        nlohmann::json result = facts;
        result.update({{"images_per_s", rate},
                       {"images_per_s_min", rates.front()},
                       {"images_per_s_max", rates.back()},
                       {"gflop_per_s", flops * rate / 1e9},
                       {"scores_us_per_image", score_seconds * 1e6},
                       {"peak_MiB", peak_memory_mib()},
                       {"peak_MiB_of_run", peak_memory_mib() - before}});
        return result;
    };
    if (flags.serve) {
        serve(facts, measured);
    } else if (const nlohmann::json result = measured(); flags.json) {
        std::cout << result.dump() << '\n';
    } else {
        print_plan(net, plan, flags.methods, false);
        print_speed(result, flags);
    }
    return 0;
}

int run_plan(const PlanFlags& flags) {
    const auto backend = make_backend(flags.net);
    const Net net = bench_net(*backend, flags.net, 0, 0);
    const Methods methods = make_methods(read_methods(flags.methods, net, flags.net.precision), net);
    Executor executor(*backend, net, methods.request,
                      {.fuse = !flags.net.no_fuse, .micro_batch = flags.net.batch});
    const int64_t size = flags.size.value_or(default_input_size(net.architecture));
    const Plan& plan = executor.plan(size, size);
    if (flags.json) {
        std::cout << plan_json(net, plan, flags.methods).dump(1) << '\n';
    } else {
        print_plan(net, plan, flags.methods, flags.steps);
    }
    return 0;
}

}  // namespace gs
