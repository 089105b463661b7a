#!/usr/bin/env bash
# tools/kernel_registers.sh reads ptxas' words, and finds a kernel that spills.
set -euo pipefail
script="$(cd "$(dirname "$0")" && pwd)/../../tools/kernel_registers.sh"
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

fail() { echo "$1"; exit 1; }
report() {  # file, bytes spilled
  cat >"$tree/$1" <<END
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z3addPfPKfi' for 'sm_90'
ptxas info    : Function properties for _Z3addPfPKfi
    8 bytes stack frame, $2 bytes spill stores, $2 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 8 bytes cumulative stack size, 256 bytes smem
END
}

bash "$script" "$tree" >/dev/null 2>&1 && fail "a folder without reports passed"
report good.o.ptxas 0
output=$(bash "$script" --check "$tree") || fail "a kernel without spills failed: $output"
[[ $output =~ sm_90\ +40\ +256\ +8\ +0\ +add\(float\*,\ float\ const\*,\ int\) ]] || fail "not read right: $output"
report bad.o.ptxas 4
bash "$script" --check "$tree" >/dev/null 2>&1 && fail "a spill passed"
output=$(bash "$script" "$tree") || fail "without --check it only reports"
[[ $output == *"2 kernels, 1 of them spill"* ]] || fail "not counted right: $output"
echo "reports are read"
