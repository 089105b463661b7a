#!/usr/bin/env bash
# Everything that needs a GPU, in one command and ten minutes (16 cores): builds with CUDA, runs the tests that use the
# device, norms and the benchmark against PyTorch where torch is there, compute-sanitizer on a few tests. Writes a folder
# of logs and summary.md; a stage that fails or runs out of time leaves the others their turn.
# usage: tools/gpu_check.sh [FOLDER]        environment: MINUTES (10), JOBS (all cores), BUILD (build-gpu), PYTHON,
#   ONLY: a pattern of stages beside configure and build, "bench-*|norms-*", to go on with what there was no time for
#   PACKAGES (carry): a folder of packages that tools/carry_packages.sh made, for a machine without them
# exit: 0 all stages passed, 1 one failed or had no time, 3 no GPU here (nothing is then checked)
# Of what is no part of the checkout, compute-sanitizer and PyTorch may be missing: their stages then do not run.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

# Of a folder that may be anywhere, made where it is not there.
absolute() { mkdir -p "$1" && (cd "$1" && pwd); }
out=$(absolute "${1:-gpu-check}") || exit 1
build=$(absolute "${BUILD:-build-gpu}") || exit 1
jobs=${JOBS:-$(nproc)}
python=${PYTHON:-python3}
only=${ONLY:-*}
deadline=$((SECONDS + 60 * ${MINUTES:-10}))
summary=$out/summary.md
failed=0
[[ -d /usr/local/cuda/bin ]] && PATH=$PATH:/usr/local/cuda/bin
export OMP_WAIT_POLICY=passive
export CUDA_DEVICE_ORDER=PCI_BUS_ID  # device 0 is the one that nvidia-smi names first

say() { echo "$*" | tee -a "$summary"; }
row() { say "| $1 | $2 | ${3:-0} s |"; }
is_wanted() {  # NAME
  local pattern
  IFS='|' read -ra patterns <<<"$only"
  for pattern in "${patterns[@]}"; do
    # shellcheck disable=SC2053  # a pattern it is
    [[ $1 == configure || $1 == build || $1 == $pattern ]] && return
  done
  return 1
}

# stage NAME SECONDS COMMAND…: its output in FOLDER/NAME.log, a row in the summary. At most SECONDS, and never past the
# deadline.
stage() {
  local name=$1 limit=$2 start=$SECONDS left=$((deadline - SECONDS)) code verdict
  shift 2
  is_wanted "$name" || return 0
  if ((left < 5)); then
    row "$name" "**not run**: no time left (MINUTES)"
    failed=1
    return 1
  fi
  ((limit < left)) || limit=$left
  timeout --kill-after=10 "$limit" "$@" >"$out/$name.log" 2>&1
  code=$?
  verdict=passed
  if ((code == 124 || code == 137)); then
    verdict="**stopped after $limit s**"
  elif ((code != 0)); then
    verdict="**failed** (exit $code)"
  fi
  row "$name" "$verdict" $((SECONDS - start))
  ((code == 0)) || failed=1
  return "$code"
}

# stage_of PROGRAM NAME SECONDS COMMAND…: where the program is not there, a row that says so.
stage_of() {
  local program=$1 name=$2
  shift
  is_wanted "$name" || return 0
  if [[ ! -x $program ]]; then
    row "$name" "**not run**: ${program#"$build"/} was not built"
    failed=1
    return 1
  fi
  stage "$@"
}

# The lines of a log that say what came of it.
quote() {  # NAME PATTERN [LINES]
  [[ -f $out/$1.log ]] || return 0
  local lines
  lines=$(grep -E "$2" "$out/$1.log" | tail -"${3:-12}")
  [[ -z $lines ]] || say $'\n'"$1:"$'\n```\n'"$lines"$'\n```'
}

[[ -n ${ONLY:-} ]] || rm -f "$summary" "$out"/*.log "$out"/*.json "$out"/tests.xml
{
  echo "# GPU check"
  echo
  echo "gradscore $(git describe --always --dirty 2>/dev/null || echo '(no git)'), $(nproc) cores"
  echo
} >>"$summary"

query() { nvidia-smi --query-gpu="$1" --format=csv,noheader; }
if ! command -v nvidia-smi >/dev/null; then
  say "No GPU: there is no nvidia-smi here. Nothing was checked."
  exit 3
fi
if ! gpus=$(query name,driver_version,memory.total,compute_cap 2>&1) || [[ -z $gpus ]]; then
  say "No GPU: nvidia-smi says '${gpus%%$'\n'*}'. Nothing was checked."
  exit 3
fi
say "$gpus"

# Shells of pip packages: cuDNN where the system has none, and its libraries at run time.
pip_folder() { "$python" -c "import importlib, sys; print(list(importlib.import_module(sys.argv[1]).__path__)[0])" "$1" 2>/dev/null; }
# Without Boost there are no tests on the emulated device, which would take longest to compile.
flags=(-DGRADSCORE_CUDA=ON -DGRADSCORE_TESTS=ON -DGRADSCORE_BENCH=ON -DCMAKE_DISABLE_FIND_PACKAGE_Boost=ON)
cudnn=$(pip_folder nvidia.cudnn)
if [[ ! -f /usr/local/cuda/include/cudnn_graph.h && ! -f /usr/include/cudnn_graph.h &&
      ! -f /usr/include/$(uname -m)-linux-gnu/cudnn_graph.h && -n $cudnn ]]; then
  flags+=(-DCUDNN_ROOT="$cudnn")
  export LD_LIBRARY_PATH=$cudnn/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi
# Carried packages lie in a folder of their own: the system stays as it is. RPATH, unlike RUNPATH, also finds what their
# libraries need.
packages=${PACKAGES:-carry}
if compgen -G "$packages/*.deb" >/dev/null; then
  root=$build-packages
  for package in "$packages"/*.deb; do dpkg -x "$package" "$root"; done
  triple=$(uname -m)-linux-gnu
  libraries=$root/usr/lib/$triple
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s/usr/bin/pkgconf "$@"\n' "$libraries" "$root" >"$root/pkg-config"
  chmod +x "$root/pkg-config"
  export PKG_CONFIG=$root/pkg-config PKG_CONFIG_SYSROOT_DIR=$root CPATH=$root/usr/include:$root/usr/include/$triple
  export PKG_CONFIG_LIBDIR=$libraries/pkgconfig:$root/usr/share/pkgconfig
  flags+=(-DCMAKE_PREFIX_PATH="$root/usr" -DOPENSSL_ROOT_DIR="$root/usr" -DGRADSCORE_ONEDNN=OFF
    -DCMAKE_EXE_LINKER_FLAGS="-Wl,--disable-new-dtags,-rpath,$libraries:$libraries/hdf5/serial")
fi
[[ -f /usr/include/dnnl.hpp || -f /usr/local/include/dnnl.hpp ]] || flags+=(-DGRADSCORE_ONEDNN=OFF)
capability=$(query compute_cap | head -1 | tr -d .)
flags+=(-DGRADSCORE_CUDA_ARCHITECTURES="$capability")
[[ -f $build/CMakeCache.txt ]] || ! command -v ninja >/dev/null || flags+=(-G Ninja)

say ""
say "| stage | result | time |"
say "|---|---|---|"
gradscore=$build/tools/gradscore
if stage configure 60 cmake "${flags[@]}" -S . -B "$build"; then
  # What does not compile keeps no more than its own programs from being there.
  keep_going=(-k)
  ! grep -q '^CMAKE_GENERATOR:INTERNAL=Ninja' "$build/CMakeCache.txt" || keep_going=(-k 0)
  stage build 300 cmake --build "$build" -j "$jobs" -- "${keep_going[@]}"
  stage registers 10 tools/kernel_registers.sh --check "$build"
  stage_of "$gradscore" devices 30 "$gradscore" devices
  # Those that run on the device, none on the emulated one. One process a test: an error that stays with the device
  # does not reach the next.
  stage tests 200 env GRADSCORE_EXPECT=cuda,cuda-bf16 ctest --test-dir "$build" -j "$jobs" --output-on-failure \
    -L '^(cpu|layers|cuda|nets|passes|scores|train)$' -LE '^emulated' --output-junit "$out/tests.xml"

  # Norms of weight gradients against cuDNN's weight gradient, layer by layer; on Hopper by wgmma, too.
  precisions=(bf16 tf32 f32)
  [[ $capability != 90 ]] || precisions=(bf16 bf16-wgmma tf32 f32)
  for precision in "${precisions[@]}"; do
    stage_of "$build/bench/gradient_norm_shares" "norms-$precision" 40 "$build/bench/gradient_norm_shares" cuda "$precision"
  done

  # bench NAME SECONDS MODULES FLAG…: MODULES, besides torch, are what its cases import.
  bench() {
    local name=$1 limit=$2 modules=$3 lacks
    shift 3
    is_wanted "$name" || return 0
    # shellcheck disable=SC2086  # words
    lacks=$("$python" - torch $modules 2>/dev/null <<'PYTHON' || echo "$python does not run"
import importlib.util, sys
lacking = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
if not lacking:
    import torch
    if not torch.cuda.is_available():
        lacking = ['PyTorch that sees the GPU']
print('no ' + ', '.join(lacking) if lacking else '')
PYTHON
    )
    if [[ -n $lacks ]]; then
      row "$name" "not run: $lacks (PYTHON=$python)"
      return
    fi
    stage_of "$gradscore" "$name" "$limit" "$python" bench/compare.py --gradscore "$gradscore" --python "$python" \
      --device cuda --rounds 5 --out "$out/$name.json" "$@"
  }
  # In the order of what is worth most.
  bench bench-bf16 70 timm --precision bf16 --case bit-r101x1 --case resnet34-cifar
  bench bench-f32 50 '' --precision f32 --case resnet34-cifar-gradients
  bench bench-tf32 50 timm --precision tf32 --case bit-r101x1 --case resnet34-cifar-gradients

  # Every operation on its small maps. Of the libraries' kernels nothing is asked: they are not ours to mend.
  operations=("$build/tests/test_cpu" '--gtest_filter=-*Winograd*:*Ghost*:*Reference*:*Support*')
  sanitizer=$(command -v compute-sanitizer)
  for tool in memcheck racecheck initcheck; do
    is_wanted "$tool" || continue
    if [[ -z $sanitizer ]]; then
      row "$tool" "not run: no compute-sanitizer"
      continue
    fi
    stage_of "$build/tests/test_cpu" "$tool" 60 env GRADSCORE_EXPECT=cuda "$sanitizer" --tool "$tool" \
      --error-exitcode 9 --kernel-name kernel_substring=2gs4cuda "${operations[@]}"
  done
  bench bench-compiled 150 timm --precision bf16 --case bit-r101x1-compiled
fi

quote configure '^-- CUDA |^-- Building|Error|Could NOT' 6
quote build ': error|: fatal|^FAILED' 20
quote registers 'kernels,' 1
quote devices . 4
quote tests 'tests passed|tests failed|\(Failed\)|\(Timeout\)|Skipped|\*\*\*' 40
for tool in memcheck racecheck initcheck; do quote "$tool" 'ERROR SUMMARY|RACECHECK SUMMARY|\[  (PASSED|FAILED)|rror:' 8; done
for bench in norms-bf16 norms-bf16-wgmma norms-tf32 norms-f32 bench-bf16 bench-f32 bench-tf32 bench-compiled; do
  [[ ! -f $out/$bench.log ]] ||
    say "$(printf '\n## %s\n\n%s' "$bench" "$(grep -E '^(#|\||.*: ended with code|.*rror)' "$out/$bench.log")")"
done
say ""
if ((failed)); then
  say "Something failed or did not run; the logs are in $out."
else
  say "All stages passed."
fi
exit "$failed"
