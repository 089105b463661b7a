#!/usr/bin/env bash
# Runs every fuzz target (tests/fuzz/fuzz_NAME.cpp), or those named, one after the other, for FUZZ_SECONDS each (an hour if
# not set). New inputs go to FUZZ_WORK/NAME and are where the next run starts; what failed lies in FUZZ_WORK/findings/NAME.
#   FUZZ_SECONDS=600 tools/fuzz_all.sh journal safetensors
# Ends with 1 if there is any finding. `make fuzz` builds the targets.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=${FUZZ_BUILD:-build-fuzz}/tests/fuzz
work=${FUZZ_WORK:-fuzz-work}
seconds=${FUZZ_SECONDS:-3600}

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  for source in tests/fuzz/fuzz_*.cpp; do
    name=$(basename "$source" .cpp)
    names+=("${name#fuzz_}")
  done
fi
for name in "${names[@]}"; do
  if [ ! -x "$programs/fuzz_$name" ]; then
    echo "fuzz_all.sh: no program $programs/fuzz_$name; build the targets with 'make fuzz'" >&2
    exit 2
  fi
done

found=0
for name in "${names[@]}"; do
  mkdir -p "$work/$name" "$work/findings/$name"
  log=$work/$name.log
  result="no finding"
  if ! "$programs/fuzz_$name" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=25 -print_final_stats=1 \
    -artifact_prefix="$work/findings/$name/" "$work/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
    result="FINDING, see $log"
    found=1
  fi
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  echo "$(date -u +%Y-%m-%dT%H:%MZ) $name: ${runs:-?} runs in $seconds s, $result"
done
exit "$found"
