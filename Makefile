# Everything a newcomer needs; the build itself is CMake's. `make demo` and `make test` do all set-up on a fresh
# Debian 12+ or Ubuntu 24.04+ machine.

BUILD ?= build
JOBS ?= $(shell nproc)
CMAKE_FLAGS ?=
PREFIX ?= /usr/local
DEMO ?= demo-out
GENERATOR = $(shell command -v ninja >/dev/null 2>&1 && echo '-G Ninja')

.PHONY: all build cuda-release demo test bench asan fuzz format check-format install package setup setup-dev clean

all: build

setup:
	@bash tools/setup.sh build

setup-dev:
	@bash tools/setup.sh build test

# CMake configures again by itself where lists of files have changed; here at first, until it has been done, and where
# flags are given. It writes cmake_install.cmake last.
FIRST = $(if $(wildcard $(BUILD)/cmake_install.cmake),,-DGRADSCORE_TESTS=OFF)

build: setup
	$(if $(FIRST)$(CMAKE_FLAGS),cmake $(GENERATOR) -S . -B $(BUILD) $(FIRST) $(CMAKE_FLAGS))
	@cmake --build $(BUILD) -j $(JOBS) --target gradscore gradscore-draw-demo

# For every GPU from the A100 on: machine code of 8.0, 8.6, 8.9, 9.0 and 12.0, and PTX of the last two for later ones.
# In the same folder: only CUDA's files differ from what `make build` or `make test` left there.
cuda-release: setup
	@cmake $(GENERATOR) -S . -B $(BUILD) $(FIRST) -DGRADSCORE_CUDA=ON \
	  -DGRADSCORE_CUDA_ARCHITECTURES="80-real;86-real;89-real;90;120" $(CMAKE_FLAGS)
	@cmake --build $(BUILD) -j $(JOBS) --target gradscore

demo: build
	@BUILD=$(BUILD) bash tools/demo.sh $(DEMO)

test: setup-dev
	@cmake $(GENERATOR) -S . -B $(BUILD) -DGRADSCORE_TESTS=ON $(CMAKE_FLAGS)
	@cmake --build $(BUILD) -j $(JOBS)
	@cd $(BUILD) && OMP_WAIT_POLICY=passive ctest --output-on-failure -j $(JOBS)

asan: setup-dev
	@cmake $(GENERATOR) -S . -B $(BUILD)-asan -DGRADSCORE_TESTS=ON -DGRADSCORE_CUDA=OFF -DGRADSCORE_SANITIZE=address,undefined \
	  -DCMAKE_BUILD_TYPE=RelWithDebInfo $(CMAKE_FLAGS)
	@cmake --build $(BUILD)-asan -j $(JOBS)
	@cd $(BUILD)-asan && OMP_WAIT_POLICY=passive ctest --output-on-failure -j $(JOBS)

bench:
	@bash tools/setup.sh build bench
	@cmake $(GENERATOR) -S . -B $(BUILD) $(FIRST) -DGRADSCORE_BENCH=ON $(CMAKE_FLAGS)
	@cmake --build $(BUILD) -j $(JOBS)
	@$(BUILD)/bench/bench_cpu_ops
	@$(BUILD)/bench/bench_weight_norms

# libFuzzer targets (clang), which tools/fuzz_all.sh runs.
fuzz:
	@bash tools/setup.sh build test fuzz
	@cmake $(GENERATOR) -S . -B $(BUILD)-fuzz -DGRADSCORE_FUZZ=ON -DGRADSCORE_CUDA=OFF -DCMAKE_CXX_COMPILER=clang++ $(CMAKE_FLAGS)
	@cmake --build $(BUILD)-fuzz -j $(JOBS) --target fuzzers

SOURCES = $(shell git ls-files '*.cpp' '*.h' '*.cu' '*.cuh')
format:
	clang-format -i $(SOURCES)

check-format:
	clang-format --dry-run -Werror $(SOURCES)

# The command with manual page and completions, and the library with headers and CMake package.
INSTALLED = gradscore gradscore_library gradscore_headers gradscore_generated
install: build
	@cmake --build $(BUILD) -j $(JOBS) --target $(INSTALLED)
	cmake --install $(BUILD) --prefix $(PREFIX)

# packages/: a relocatable .tar.gz, and .deb where dpkg is there. Its tools are looked for when the build is configured.
package:
	@bash tools/setup.sh package
	@$(MAKE) --no-print-directory build
	@cmake -S . -B $(BUILD) $(CMAKE_FLAGS)
	@cmake --build $(BUILD) -j $(JOBS) --target $(INSTALLED)
	cpack --config $(BUILD)/CPackConfig.cmake -B packages

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-fuzz $(DEMO)
