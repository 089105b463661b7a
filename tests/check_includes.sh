#!/usr/bin/env bash
# Who may include whom: a folder knows only what stands to its left (docs/architecture.md).
#   core -> {cpu, cuda, layers, data, weights} -> nets -> passes -> {scores, train} -> metrics -> report -> {tools, bench}
# usage: check_includes.sh ROOT    prints every offence as FILE:LINE, exit 1 where there is one
set -euo pipefail
root=${1:?usage: check_includes.sh ROOT}
cd "$root"

# Metrics take plain arrays and reports plain data, so they know less than the arrow would allow; and nobody includes
# cpu/ or cuda/: their factories are declared in core/ and bound by the linker. Tests may include everything.
declare -A may=(
  [core]="core"
  [cpu]="core cpu"
  [cuda]="core cuda"
  [layers]="core layers"
  [data]="core data"
  [weights]="core weights"
  [nets]="core layers data weights nets"
  [passes]="core layers data weights nets passes"
  [scores]="core layers data weights nets passes scores"
  [train]="core layers data weights nets passes train"
  [metrics]="core metrics"
  [report]="core metrics report"
  [tools]="core layers data weights nets passes scores train metrics report tools"
  [bench]="core cpu cuda layers data weights nets passes scores train metrics report bench"
)
cuda_header='^(cuda|cudnn|cublas|curand|cusparse|cusolver|nvrtc|nvml|nvtx|driver_types|vector_types|device_|mma\.h|cooperative_groups|cub/|thrust/|cutlass/|cute/)'

offences=0
offence() {  # FILE:LINE text
  echo "$1: $2"
  offences=$((offences + 1))
}

check() {  # folder, place, header, delimiter
  local folder=$1 place=$2 header=$3 delimiter=$4 top=${3%%/*}
  if [[ $header =~ $cuda_header && $folder != cuda && $place != tests/cuda/* && $place != tests/emulated_cuda/* && $place != bench/*.cu:* &&
        ! ($delimiter == '"' && $header == cuda/*) ]]; then
    offence "$place" "<$header> is CUDA's: only cuda/ may include it"
  elif [[ $header =~ ^(dnnl|oneapi/dnnl) && $folder != cpu && $folder != bench && $place != tests/cpu/* ]]; then
    offence "$place" "<$header> is oneDNN's: only cpu/ may include it"
  elif [[ -n ${may[$top]:-} && $header == */* ]]; then
    [[ $delimiter == '"' ]] || offence "$place" "<$header> is ours: write it in quotes"
    [[ $folder == tests || " ${may[$folder]} " == *" $top "* ]] ||
      offence "$place" "$folder/ may not include $header (allowed: ${may[$folder]})"
  elif [[ $top == tests && $header == */* ]]; then
    [[ $folder == tests ]] || offence "$place" "$folder/ may not include tests"
  elif [[ $delimiter == '"' ]]; then
    offence "$place" "\"$header\": quoted includes begin with a folder of the repository"
  fi
}

mapfile -d '' files < <(find "${!may[@]}" tests -type f \
  \( -name '*.h' -o -name '*.hpp' -o -name '*.cuh' -o -name '*.cpp' -o -name '*.cc' -o -name '*.cu' -o -name '*.inc' \) \
  -print0 2>/dev/null | sort -z)
if [[ ${#files[@]} == 0 ]]; then
  echo "$root: no sources found, nothing was checked" >&2
  exit 1
fi
while IFS=: read -r file number text; do
  [[ $text =~ ^[[:space:]]*\#[[:space:]]*include[[:space:]]*([\"\<])([^\"\>]+) ]] || continue
  check "${file%%/*}" "$file:$number" "${BASH_REMATCH[2]}" "${BASH_REMATCH[1]}"
done < <(grep -HnE '^[[:space:]]*#[[:space:]]*include' "${files[@]}" | tr -d '\r')

if [[ $offences != 0 ]]; then
  echo "$offences includes against the order of the folders" >&2
  exit 1
fi
echo "${#files[@]} files, every include allowed"
