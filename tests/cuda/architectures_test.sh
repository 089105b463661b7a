#!/usr/bin/env bash
# Kernels are compiled for the GPUs that nvidia-smi tells of, or as the command line says.
# usage: architectures_test.sh CMAKE
set -euo pipefail
cmake=$1
script="$(cd "$(dirname "$0")" && pwd)/../../cmake/Cuda.cmake"
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
echo "include($script)" $'\n''message("${GRADSCORE_CUDA_ARCHITECTURES}")' >"$tree/print.cmake"

expect() {  # architectures, what nvidia-smi says, flags of cmake…
  local wanted=$1 said=$2 found
  printf '#!/bin/sh\n%s\n' "$said" >"$tree/nvidia-smi"
  chmod +x "$tree/nvidia-smi"
  found=$(PATH=$tree:$PATH "$cmake" -DGRADSCORE_CUDA=OFF "${@:3}" -P "$tree/print.cmake" 2>&1)
  [[ $found == "$wanted" ]] || { echo "$said: $found, not $wanted"; exit 1; }
}

expect 86 'echo 8.6'
expect '80;120' 'echo 8.0; echo 8.0; echo 12.0'
expect 89 'echo 7.5; echo 8.9'  # there is no code for 7.5
expect 90 'echo 7.5'
expect 90 'echo "NVIDIA-SMI has failed"; exit 9'
expect 90 'echo 8.6' -DGRADSCORE_CUDA_ARCHITECTURES=90
echo "architectures are those of the machine"
