#!/usr/bin/env bash
# Registers, shared memory, stack and spills of every CUDA kernel, from what ptxas said when it was built
# (cmake/keep_ptxas_report.sh keeps it beside each object).
# usage: kernel_registers.sh [--check] BUILD
#   --check  exit 1 where a kernel spills registers, or where there is no report at all
set -euo pipefail
check=no
if [[ ${1:-} == --check ]]; then
  check=yes
  shift
fi
build=${1:?usage: kernel_registers.sh [--check] BUILD}

reports=()
while IFS= read -r -d '' file; do reports+=("$file"); done < <(find "$build" -name '*.ptxas' -print0 | sort -z)
if [[ ${#reports[@]} == 0 ]]; then
  echo "$build: no *.ptxas reports; build it with GRADSCORE_CUDA=ON first" >&2
  exit 1
fi

# "Compiling entry function 'NAME' for 'sm_90'", then its properties over the next lines, "Used N registers" last.
table=$(cat "${reports[@]}" | awk '
  /Compiling entry function/ { split($0, part, "\047"); name = part[2]; arch = part[4]; stack = stores = loads = 0 }
  name != "" && /bytes stack frame/ { stack = $1; stores = $5; loads = $9 }
  name != "" && /: Used [0-9]+ registers/ {
    registers = shared = 0
    for (i = 2; i <= NF; ++i) {
      if ($i ~ /^registers/) registers = $(i - 1)
      if ($i ~ /^smem/) shared = $(i - 2)
    }
    printf "%s\t%d\t%d\t%d\t%d\t%s\n", arch, registers, shared, stack, stores + loads, name
    name = ""
  }' | c++filt | sed -E 's/gs::cuda::|\(anonymous namespace\):://g; s/\tvoid /\t/' | sort -t $'\t' -k1,1 -k2,2nr)

awk -F '\t' '
  BEGIN { printf "%-8s %9s %7s %6s %8s  %s\n", "arch", "registers", "shared", "stack", "spilled", "kernel" }
  NF == 6 { printf "%-8s %9d %7d %6d %8d  %s\n", $1, $2, $3, $4, $5, substr($6, 1, 120) }' <<<"$table"
spilled=$(awk -F '\t' '$5 > 0' <<<"$table" | wc -l)
kernels=$(wc -l <<<"$table")
[[ -n $table ]] || kernels=0
echo "$kernels kernels, $spilled of them spill registers (bytes; shared memory is the static part)"
if [[ $check == yes && ($spilled != 0 || $kernels == 0) ]]; then
  echo "a kernel spills, or none was found" >&2
  exit 1
fi
