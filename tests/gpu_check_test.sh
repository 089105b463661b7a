#!/usr/bin/env bash
# tools/gpu_check.sh on a machine that is made up: stages that fail leave the others their turn, what is missing is
# said in one line, everything is written to one folder, and the exit code says how it went.
# usage: gpu_check_test.sh GPU_CHECK
set -euo pipefail
check=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin"

program() {  # FILE LINE…
  local file=$1
  shift
  mkdir -p "$(dirname "$file")"
  { echo '#!/usr/bin/env bash'; printf '%s\n' "$@"; } >"$file"
  chmod +x "$file"
}
# Nothing but these is there beside the system's own tools.
for tool in bash env cat grep tail head tr timeout tee mkdir rm dirname nproc find sort awk wc c++filt sed git tar gzip basename ln sleep; do
  ln -s "$(command -v "$tool")" "$scratch/bin/$tool"
done
program "$scratch/bin/nvidia-smi" 'echo "Made Up, 1.0, 80 GiB, 9.0"'
# Configures; builds all but the command.
program "$scratch/bin/cmake" \
  "build=$scratch/build" \
  'if [[ $1 == --build ]]; then echo "x.cpp: error: made up"; exit 2; fi' \
  'echo "CMAKE_GENERATOR:INTERNAL=Unix Makefiles" >"$build/CMakeCache.txt"'
program "$scratch/bin/ctest" 'echo "$*"; echo "100% tests passed"'
program "$scratch/bin/python3" 'exec false'
program "$scratch/build/tests/test_cpu" true
program "$scratch/build/bench/gradient_norm_shares" '[[ $2 != tf32 ]]'

fail() {
  echo "FAILED: $1"
  cat "$scratch/said" "$scratch/out/summary.md" 2>/dev/null
  exit 1
}
code=0
run() {
  code=0
  env -i PATH="$scratch/bin" HOME="$scratch" BUILD="$scratch/build" "$@" bash "$check" "$scratch/out" \
    >"$scratch/said" 2>&1 || code=$?
}
says() { grep -qF -- "$1" "$scratch/out/summary.md" || fail "summary.md does not say: $1"; }

run
((code == 1)) || fail "exit code $code where stages failed"
says '| configure | passed |'
says '| build | **failed** (exit 2) |'
says 'x.cpp: error: made up'
says '| devices | **not run**: tools/gradscore was not built |'
says '| tests-operations | passed |'
says '| tests | passed |'
says '| norms-bf16 | passed |'
says '| norms-tf32 | **failed** (exit 1) |'
says '| norms-f32 | passed |'
says '| bench-bit-bf16 | not run: python3 does not run'
[[ -x /usr/local/cuda/bin/compute-sanitizer ]] || says '| memcheck | not run: no compute-sanitizer |'
grep -q -- "--output-junit $scratch/out/tests.xml" "$scratch/out/tests.log" || fail "ctest writes elsewhere"
packed=$(tar -tzf "$scratch/out/gpu-check.tgz")
for name in summary.md tests.log build.log; do
  grep -qx "$name" <<<"$packed" || fail "gpu-check.tgz lacks $name: $packed"
done

run ONLY='norms-*'
grep -q 'norms-bf16 ' "$scratch/said" || fail "ONLY leaves out what it names"
! grep -q '| tests |' "$scratch/said" || fail "ONLY runs what it does not name"

program "$scratch/bin/cmake" "echo CMAKE_GENERATOR:INTERNAL=Ninja >$scratch/build/CMakeCache.txt"
program "$scratch/build/bench/gradient_norm_shares" true
program "$scratch/build/tools/gradscore" true
program "$scratch/build/x.ptxas" true
run ONLY='devices|norms-*|tests*'
((code == 0)) || fail "exit code $code where all stages passed"
says 'All stages passed.'

# Whoever lends the machine takes it back.
program "$scratch/bin/ctest" 'echo "some are done"; exec sleep 30'
env -i PATH="$scratch/bin" HOME="$scratch" BUILD="$scratch/build" ONLY=tests bash "$check" "$scratch/out" >/dev/null 2>&1 &
until grep -qs 'some are done' "$scratch/out/tests.log"; do sleep 0.1; done
kill -TERM $!
wait $! && fail "exit code 0 where it was stopped"
packed=$(tar -xzf "$scratch/out/gpu-check.tgz" -O tests.log)
[[ $packed == 'some are done' ]] || fail "what was done is not kept: $packed"

rm "$scratch/bin/nvidia-smi"
run
((code == 3)) || fail "exit code $code without a GPU"
says 'No GPU: there is no nvidia-smi here.'
