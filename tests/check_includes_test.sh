#!/usr/bin/env bash
# check_includes.sh must find each kind of offence, alone, and leave good files alone.
set -euo pipefail
check="$(cd "$(dirname "$0")" && pwd)/check_includes.sh"
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

expect() {  # pass|fail, file, line of source, [what the message must say]
  local want=$1 file=$2 source=$3 says=${4:-} got=pass output
  rm -rf "${tree:?}"/*
  mkdir -p "$tree/core" "$tree/$(dirname "$file")"
  echo '#include <vector>' >"$tree/core/good.h"
  printf '// first line\n%s\n' "$source" >"$tree/$file"
  output=$(bash "$check" "$tree" 2>&1) || got=fail
  if [[ $got != "$want" ]] || [[ $want == fail && $output != *"$file:2: "*"$says"* ]]; then
    printf '%s: %s: expected %s (%s), got %s:\n%s\n' "$file" "$source" "$want" "$says" "$got" "$output"
    exit 1
  fi
}

expect pass core/a.cpp '#include "core/error.h"'
expect pass nets/a.cpp '#include "layers/conv.h"'
expect pass tools/a.cpp '#include "report/table.h"'
expect pass tests/report/a.cpp '#include "tests/report/sample.h"'
expect pass cuda/a.cu '#include <cuda_runtime.h>'
expect pass cuda/a.cu '#include "cuda/handle.h"'
expect pass cpu/a.cpp '#include <dnnl.hpp>'
expect pass report/a.cpp '// #include "nets/net.h"'
expect pass report/a.cpp '#include <nlohmann/json.hpp>'
expect fail core/a.cpp '#include "cpu/gemm.h"' 'core/ may not include cpu/gemm.h'
expect fail layers/a.cpp '#include "cpu/gemm.h"' 'layers/ may not'
expect fail layers/a.h '  #  include "weights/weight_file.h"' 'layers/ may not'
expect fail weights/a.cpp '#include "nets/net.h"' 'weights/ may not'
expect fail scores/a.cpp '#include "train/loss.h"' 'scores/ may not'
expect fail metrics/a.cpp '#include "scores/msp.h"' 'metrics/ may not'
expect fail report/a.cpp '#include "nets/net.h"' 'report/ may not'
expect fail tools/a.cpp '#include "cuda/handle.h"' 'tools/ may not'
expect fail core/a.cpp '#include "tests/reference/metrics.h"' 'core/ may not include tests'
expect fail core/a.cpp '#include "error.h"' 'begin with a folder'
expect fail core/a.cpp '#include "../cpu/gemm.h"' 'begin with a folder'
expect fail core/a.cpp '#include <core/error.h>' 'write it in quotes'
expect fail core/a.cpp '#include <cuda_runtime.h>' 'only cuda/ may'
expect fail layers/a.cpp '#include <cudnn.h>' 'only cuda/ may'
expect fail tests/core/a.cpp '#include <cublas_v2.h>' 'only cuda/ may'
expect fail layers/a.cpp '#include "dnnl.hpp"' 'only cpu/ may'

rm -rf "${tree:?}"/*
if bash "$check" "$tree" >/dev/null 2>&1; then
  echo "an empty tree passed: nothing was checked"
  exit 1
fi
echo "all offences found"
