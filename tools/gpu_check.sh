#!/usr/bin/env bash
# Everything that needs a GPU, in one command and ten minutes (16 cores): builds with CUDA, runs every test on the
# device, compute-sanitizer on a few, then the benchmark against PyTorch where torch is there. Writes a folder of logs
# and summary.md; a stage that fails or runs out of time leaves the others their turn.
# usage: tools/gpu_check.sh [FOLDER]        environment: MINUTES (10), JOBS (all cores), BUILD (build-gpu), PYTHON,
#   PACKAGES (carry): a folder of packages that tools/carry_packages.sh made, for a machine without them
# exit: 0 all stages passed, 1 one failed, 3 no GPU here (nothing is then checked)
set -uo pipefail
cd "$(dirname "$0")/.." || exit

out=${1:-gpu-check}
build=${BUILD:-build-gpu}
jobs=${JOBS:-$(nproc)}
python=${PYTHON:-python3}
deadline=$((SECONDS + 60 * ${MINUTES:-10}))
mkdir -p "$out"
summary=$out/summary.md
failed=0
[[ -d /usr/local/cuda/bin ]] && PATH=$PATH:/usr/local/cuda/bin
export OMP_WAIT_POLICY=passive

say() { echo "$*" | tee -a "$summary"; }

# stage NAME SECONDS COMMAND…: its output in FOLDER/NAME.log, a row in the summary. At most SECONDS, and never past the
# deadline.
stage() {
  local name=$1 limit=$2 start=$SECONDS left=$((deadline - SECONDS)) code verdict
  shift 2
  if ((left < 5)); then
    say "| $name | not run: no time left | 0 s |"
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
  say "| $name | $verdict | $((SECONDS - start)) s |"
  ((code == 0)) || failed=1
  return "$code"
}

# The lines of a log that say what came of it.
quote() {  # NAME PATTERN [LINES]
  [[ -f $out/$1.log ]] || return 0
  local lines
  lines=$(grep -E "$2" "$out/$1.log" | tail -"${3:-12}")
  [[ -z $lines ]] || say $'\n'"$1:"$'\n```\n'"$lines"$'\n```'
}

{
  echo "# GPU check"
  echo
  echo "gradscore $(git describe --always --dirty 2>/dev/null || echo '(no git)'), $(nproc) cores"
  echo
} >"$summary"

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
flags=(-DGRADSCORE_CUDA=ON -DGRADSCORE_TESTS=ON -DGRADSCORE_BENCH=ON)
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
  root=$PWD/$build-packages
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
command -v ninja >/dev/null && flags+=(-G Ninja)

say ""
say "| stage | result | time |"
say "|---|---|---|"
gradscore=$build/tools/gradscore
if stage configure 60 cmake "${flags[@]}" -S . -B "$build" && stage build 300 cmake --build "$build" -j "$jobs"; then
  stage registers 10 tools/kernel_registers.sh --check "$build"
  stage devices 30 "$gradscore" devices
  # One process a test: an error that stays with the device does not reach the next.
  stage tests 200 env GRADSCORE_EXPECT=cuda ctest --test-dir "$build" -j "$jobs" --timeout 120 --output-on-failure \
    --output-junit "$PWD/$out/tests.xml"

  # Every operation on its small maps. Of the libraries' kernels nothing is asked: they are not ours to mend.
  operations=("$build/tests/test_cpu" '--gtest_filter=-*Winograd*:*Ghost*:*Reference*:*Support*')
  sanitizer=$(command -v compute-sanitizer || echo compute-sanitizer)
  for tool in memcheck racecheck initcheck; do
    stage "$tool" 60 env GRADSCORE_EXPECT=cuda "$sanitizer" --tool "$tool" --error-exitcode 9 \
      --kernel-name kernel_substring=2gs4cuda "${operations[@]}"
  done

  # Norms of weight gradients against cuDNN's weight gradient, layer by layer; on Hopper by wgmma, too.
  precisions=(bf16 tf32 f32)
  [[ $capability != 90 ]] || precisions=(bf16 bf16-wgmma tf32 f32)
  for precision in "${precisions[@]}"; do
    stage "norms-$precision" 40 "$build/bench/gradient_norm_shares" cuda "$precision"
  done

  if "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    compare=("$python" bench/compare.py --gradscore "$gradscore" --device cuda --rounds 5)
    # In the order of what is worth most.
    stage bench-bf16 70 "${compare[@]}" --precision bf16 --case bit-r101x1 --case resnet34-cifar
    stage bench-f32 50 "${compare[@]}" --precision f32 --case resnet34-cifar-gradients
    stage bench-tf32 50 "${compare[@]}" --precision tf32 --case bit-r101x1 --case resnet34-cifar-gradients
    stage bench-compiled 150 "${compare[@]}" --precision bf16 --case bit-r101x1-compiled
  else
    say "| bench | not run: no PyTorch that sees the GPU (PYTHON=$python) | 0 s |"
  fi
fi

quote configure '^-- CUDA |^-- Building|Error' 6
quote build ': error|: fatal|^FAILED' 20
quote registers 'kernels,' 1
quote devices . 4
quote tests 'tests passed|tests failed|\(Failed\)|\(Timeout\)|Skipped|\*\*\*' 40
for tool in memcheck racecheck initcheck; do quote "$tool" 'ERROR SUMMARY|RACECHECK SUMMARY|\[  (PASSED|FAILED)|rror:' 8; done
for bench in norms-bf16 norms-bf16-wgmma norms-tf32 norms-f32 bench-bf16 bench-f32 bench-tf32 bench-compiled; do
  [[ -f $out/$bench.log ]] && say "$(printf '\n## %s\n\n%s' "$bench" "$(grep -E '^(#|\||.*: ended with code|.*rror)' "$out/$bench.log")")"
done
say ""
if ((failed)); then
  say "Something failed or did not run; the logs are in $out."
else
  say "All stages passed."
fi
exit "$failed"
