#!/usr/bin/env bash
# Everything that needs a GPU, in one command: builds with CUDA, runs the tests that use the device, norms and the
# benchmark against PyTorch where torch is there, compute-sanitizer on a few tests. Writes a folder of logs, summary.md
# and gpu-check.tgz with all of them; a stage that fails or runs out of time leaves the others their turn. What is worth
# most comes first; the stages' limits add up to more than MINUTES, and ONLY goes on with the rest.
# usage: tools/gpu_check.sh [FOLDER]        environment: MINUTES (9), JOBS (all cores), BUILD (build-gpu), PYTHON,
#   ONLY: a pattern of stages beside configure and build, "bench-*|norms-*", to go on with what there was no time for
#   PACKAGES (carry): a folder of packages that tools/carry_packages.sh made, for a machine without them
# exit: 0 all stages passed, 1 one failed or had no time, 3 no GPU here (nothing is then checked)
# Of what is no part of the checkout, compute-sanitizer and PyTorch may be missing: their stages then do not run. Golden
# values beyond the project's own are looked for in ./shared.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

# Of a folder that may be anywhere, made where it is not there.
absolute() { mkdir -p "$1" && (cd "$1" && pwd); }
out=$(absolute "${1:-gpu-check}") || exit 1
build=$(absolute "${BUILD:-build-gpu}") || exit 1
jobs=${JOBS:-$(nproc)}
python=${PYTHON:-python3}
only=${ONLY:-*}
deadline=$((SECONDS + 60 * ${MINUTES:-9}))
summary=$out/summary.md
failed=0
[[ -d /usr/local/cuda/bin ]] && PATH=$PATH:/usr/local/cuda/bin
export OMP_WAIT_POLICY=passive
export CUDA_DEVICE_ORDER=PCI_BUS_ID  # device 0 is the one that nvidia-smi names first
export GRADSCORE_BACKENDS=cuda,cuda-bf16  # of tests; those of the CPU have run elsewhere
[[ ! -d shared ]] || export GRADSCORE_SHARED=$PWD/shared

# Also where whoever lends the machine takes it back.
child=
pack() { (cd "$out" && tar -czf gpu-check.tgz --exclude=gpu-check.tgz -- *) || true; }
trap pack EXIT
trap '[[ -z $child ]] || kill "$child"; exit 1' TERM INT

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
  timeout --kill-after=10 "$limit" "$@" >"$out/$name.log" 2>&1 &  # a signal ends wait at once, but no program's run
  child=$!
  wait "$child"
  code=$?
  child=
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

[[ -n ${ONLY:-} ]] || rm -f "$summary" "$out"/*.log "$out"/*.json "$out"/*.xml
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
flags=(-DGRADSCORE_CUDA=ON -DGRADSCORE_TESTS=ON -DGRADSCORE_BENCH=ON -DCMAKE_DISABLE_FIND_PACKAGE_Boost=ON
  -DGRADSCORE_WERROR=OFF -DGRADSCORE_TEST_TIMEOUT=60)
cudnn=$(pip_folder nvidia.cudnn)
if [[ ! -f /usr/local/cuda/include/cudnn_graph.h && ! -f /usr/include/cudnn_graph.h &&
      ! -f /usr/include/$(uname -m)-linux-gnu/cudnn_graph.h && -n $cudnn ]]; then
  flags+=(-DCUDNN_ROOT="$cudnn")
  export LD_LIBRARY_PATH=$cudnn/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi
# So with cuBLAS, whose package has no name that a linker looks for.
cublas=$(pip_folder nvidia.cu13)
if [[ ! -f /usr/local/cuda/include/cublasLt.h && -f $cublas/include/cublasLt.h ]]; then
  mkdir -p "$build-cublas"
  for library in cublas cublasLt; do ln -sf "$cublas/lib/lib$library.so.13" "$build-cublas/lib$library.so"; done
  flags+=(-DCMAKE_LIBRARY_PATH="$build-cublas")
  export CPATH=$cublas/include LD_LIBRARY_PATH=$cublas/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
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
  export PKG_CONFIG=$root/pkg-config PKG_CONFIG_SYSROOT_DIR=$root CPATH=$root/usr/include:$root/usr/include/$triple${CPATH:+:$CPATH}
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
  # does not reach the next. Operations first, which the rest is made of.
  tests() {  # NAME SECONDS LABELS
    stage "$1" "$2" ctest --test-dir "$build" -j "$jobs" --output-on-failure -L "^($3)\$" -LE '^emulated' \
      --output-junit "$out/$1.xml"
  }
  tests tests-operations 150 'cpu|cuda|layers'
  tests tests 200 'nets|passes|scores|train'

  # Norms of weight gradients against cuDNN's weight gradient, layer by layer; on Hopper by wgmma, too.
  precisions=(bf16 tf32 f32)
  [[ $capability != 90 ]] || precisions=(bf16 bf16-wgmma tf32 f32)
  for precision in "${precisions[@]}"; do
    stage_of "$build/bench/gradient_norm_shares" "norms-$precision" 60 "$build/bench/gradient_norm_shares" cuda "$precision"
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
  bench bench-bit-bf16 150 timm --precision bf16 --case bit-r101x1
  bench bench-resnet34-bf16 100 '' --precision bf16 --case resnet34-cifar --case resnet34-cifar-gradients
  bench bench-all-layers 150 timm --precision tf32 --case resnet34-cifar-gradnorm-all --case bit-r101x1-gradnorm-all

  # Every operation on its small maps. Of the libraries' kernels nothing is asked, they are not ours to mend, nor of calls
  # that tests make in order to see them refused. What the libraries write counts as never written where their kernels are
  # not looked at, so initcheck leaves out what reads it.
  sanitizer=$(command -v compute-sanitizer)
  sanitize() {  # TOOL GTEST_FILTER
    is_wanted "$1" || return 0
    if [[ -z $sanitizer ]]; then
      row "$1" "not run: no compute-sanitizer"
      return
    fi
    stage_of "$build/tests/test_cpu" "$1" 120 env GRADSCORE_BACKENDS=cuda "$sanitizer" --tool "$1" --error-exitcode 9 \
      --report-api-errors no --kernel-name kernel_substring=2gs4cuda "$build/tests/test_cpu" --gtest_filter="$2"
  }
  others='*Winograd*:*Ghost*:*Reference*:*Support*:Memory.*'
  sanitize memcheck "-$others"
  sanitize racecheck "*Norm*:*Pool*:Reduce*:*Sum*:SeedLogits*:-$others"
  sanitize initcheck "-$others:*Convolution*:Stored*:Invariance*:WeightFormats*"

  bench bench-resnet34-tf32 100 '' --precision tf32 --case resnet34-cifar --case resnet34-cifar-gradients
  bench bench-resnet34-f32 100 '' --precision f32 --case resnet34-cifar --case resnet34-cifar-gradients
  bench bench-bit-tf32 150 timm --precision tf32 --case bit-r101x1
  bench bench-compiled 200 timm --precision bf16 --case bit-r101x1-compiled --case resnet34-cifar-compiled
fi

quote configure '^-- CUDA |^-- Building|Error|Could NOT' 6
quote build ': error|: fatal|^FAILED' 20
quote registers 'kernels,' 1
quote devices . 4
for name in tests-operations tests; do
  quote "$name" 'tests passed|tests failed|\(Failed\)|\(Timeout\)|\*\*\*' 40
  quote "$name" 'Skipped' 20
done
for tool in memcheck racecheck initcheck; do quote "$tool" 'ERROR SUMMARY|RACECHECK SUMMARY|\[  (PASSED|FAILED)|rror:' 8; done
for log in "$out"/norms-*.log "$out"/bench-*.log; do
  [[ ! -f $log ]] ||
    say "$(printf '\n## %s\n\n%s' "$(basename "$log" .log)" "$(grep -E '^(#|\||a product|.*: ended with code|.*rror)' "$log")")"
done
say ""
if ((failed)); then
  say "Something failed or did not run; the logs are in $out."
else
  say "All stages passed."
fi
exit "$failed"
