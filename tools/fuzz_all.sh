#!/usr/bin/env bash
# Fuzzes every target (tests/fuzz/fuzz_NAME.cpp), or those named, until each has had FUZZ_SECONDS of processor time in all (an
# hour if not set): processor time, so that a busy machine shortens nothing; in all, so that the work can be stopped at any
# time and goes on where it was. FUZZ_JOBS of them run at once (as many as there are processors if not set).
#   FUZZ_SECONDS=600 tools/fuzz_all.sh journal safetensors
# FUZZ_WORK (fuzz-work) keeps, of each target: NAME/ the inputs found, NAME.runs a line "seconds inputs" a run, NAME.log what the
# last run printed, findings/NAME/ what failed. A reader that has changed starts anew when its NAME.runs is deleted.
# Ends with 1 if there is any finding. `make fuzz` builds the targets.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=${FUZZ_BUILD:-build-fuzz}/tests/fuzz
work=${FUZZ_WORK:-fuzz-work}
seconds=${FUZZ_SECONDS:-3600}
jobs=${FUZZ_JOBS:-$(nproc)}

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

# sum COLUMN FILE: of the numbers in that column, as an integer.
sum() { awk -v column="$1" '{ total += $column } END { printf "%.0f", total }' "$2"; }

# fuzz NAME: in runs of at most five minutes, so that little is forgotten where it is killed.
fuzz() {
  local name=$1 log=$work/$1.log ledger=$work/$1.runs left run status=0
  mkdir -p "$work/$name" "$work/findings/$name"
  touch "$ledger"
  while left=$((seconds - $(sum 1 "$ledger"))) && [ "$left" -gt 0 ]; do
    run=$((left < 300 ? left : 300))
    {
      TIMEFORMAT='%U %S'
      time "$programs/fuzz_$name" -max_total_time="$run" -rss_limit_mb=4096 -timeout=25 -print_final_stats=1 \
        -artifact_prefix="$work/findings/$name/" "$work/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1 || status=$?
    } 2>"$work/$name.time"
    awk -v inputs="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" '{ print $1 + $2, inputs + 0 }' \
      "$work/$name.time" >>"$ledger"
    rm "$work/$name.time"
    [ "$status" -eq 0 ] || break
  done
  local result="no finding"
  [ "$status" -eq 0 ] || result="FINDING, see $log"
  echo "$(date -u +%Y-%m-%dT%H:%MZ) $name: $(sum 2 "$ledger") inputs in $(sum 1 "$ledger") s," \
    "$(find "$work/$name" -type f | wc -l) kept, $result"
  [ "$status" -eq 0 ]
}

trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
found=0
running=0
for name in "${names[@]}"; do
  if [ "$running" -ge "$jobs" ]; then
    wait -n || found=1
    running=$((running - 1))
  fi
  fuzz "$name" &
  running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
  wait -n || found=1
  running=$((running - 1))
done
exit "$found"
