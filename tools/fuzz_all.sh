#!/usr/bin/env bash
# Fuzzes every target (tests/fuzz/fuzz_NAME.cpp), or those named, until each has had FUZZ_SECONDS of processor time in all (an
# hour if not set): processor time, so that a busy machine shortens nothing; in all, so that the work can be stopped at any
# time and goes on where it was. FUZZ_JOBS of them run at once (as many as there are processors if not set).
#   FUZZ_SECONDS=600 tools/fuzz_all.sh journal safetensors
# An input that takes more than FUZZ_UNIT_SECONDS (25) of processor time is a finding.
# FUZZ_WORK (fuzz-work) keeps, of each target: NAME/ the inputs found, NAME.runs a line "seconds inputs" a run, NAME.log what the
# last run printed, findings/NAME/ what failed. Ends with 1 if there is any finding. `make fuzz` builds the targets.
#   tools/fuzz_all.sh --record [NAME…]
# adds those runs to the project: seconds and inputs to tests/fuzz/runs.tsv, where they count on every machine (a reader that
# changes starts anew when its lines are deleted), and the inputs that reach anything new to tests/fuzz/found/NAME.tar.xz,
# which every machine begins with.
set -euo pipefail
cd "$(dirname "$0")/.."
record=no
if [ "${1:-}" = --record ]; then
  record=yes
  shift
fi
programs=${FUZZ_BUILD:-build-fuzz}/tests/fuzz
work=${FUZZ_WORK:-fuzz-work}
seconds=${FUZZ_SECONDS:-3600}
jobs=${FUZZ_JOBS:-$(nproc)}
unit_seconds=${FUZZ_UNIT_SECONDS:-25}

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
# recorded NAME: seconds of earlier runs that the project has.
recorded() { awk -F '\t' -v name="$1" '$1 == name { total += $3 } END { printf "%.0f", total }' tests/fuzz/runs.tsv; }

# The inputs of before, where this machine has none yet.
unpack() {
  local name=$1
  mkdir -p "$work/$name"
  if [ -z "$(ls -A "$work/$name")" ] && [ -f "tests/fuzz/found/$name.tar.xz" ]; then
    tar -xJf "tests/fuzz/found/$name.tar.xz" -C "$work/$name"
  fi
}

# put_down NAME: into the project. The archive's bytes depend on the inputs alone.
put_down() {
  local name=$1 ledger=$work/$1.runs
  [ -s "$ledger" ] || return 0
  mkdir -p tests/fuzz/found "$work/merged"
  rm -rf "$work/merged/$name" && mkdir "$work/merged/$name"
  "$programs/fuzz_$name" -merge=1 -rss_limit_mb=4096 "$work/merged/$name" "$work/$name" >"$work/$name.merge" 2>&1
  find "$work/merged/$name" -type f -size +64k -delete  # a reader of large files has its seeds
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$work/merged/$name" -cf - . |
    xz -9 >"tests/fuzz/found/$name.tar.xz"
  printf '%s\t%s\t%s\t%s\n' "$name" "$(date -u +%Y-%m-%d)" "$(sum 1 "$ledger")" "$(sum 2 "$ledger")" >>tests/fuzz/runs.tsv
  rm "$ledger"
}
if [ "$record" = yes ]; then
  for name in "${names[@]}"; do put_down "$name"; done
  exit
fi

# has_slow_input NAME: whether an input of a run that ended so (70) takes too long again, in processor time: libFuzzer goes by
# the clock, and a busy machine stretches it. Those that do not are no findings.
has_slow_input() {
  local name=$1 input slow=1
  for input in "$work/findings/$name"/timeout-*; do
    if (ulimit -t "$unit_seconds" && exec "$programs/fuzz_$name" -timeout=0 "$input") >/dev/null 2>&1; then
      rm "$input"
    else
      slow=0
    fi
  done
  return "$slow"
}

# fuzz NAME: in runs of at most five minutes, so that little is forgotten where it is killed.
fuzz() {
  local name=$1 log=$work/$1.log ledger=$work/$1.runs left run status=0 patience=$unit_seconds
  unpack "$name"
  mkdir -p "$work/findings/$name"
  touch "$ledger"
  while left=$((seconds - $(recorded "$name") - $(sum 1 "$ledger"))) && [ "$left" -gt 0 ]; do
    run=$((left < 300 ? left : 300))
    {
      TIMEFORMAT='%U %S'
      time "$programs/fuzz_$name" -max_total_time="$run" -rss_limit_mb=4096 -timeout="$patience" -report_slow_units="$patience" -print_final_stats=1 \
        -artifact_prefix="$work/findings/$name/" "$work/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1 || status=$?
    } 2>"$work/$name.time"
    awk -v inputs="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" '{ print $1 + $2, inputs + 0 }' \
      "$work/$name.time" >>"$ledger"
    rm "$work/$name.time"
    if [ "$status" -eq 70 ] && ! has_slow_input "$name"; then
      status=0
      patience=$((2 * patience))
    fi
    [ "$status" -eq 0 ] || break
  done
  local result="no finding"
  case "$status" in
    0) ;;
    72 | 130 | 137 | 143) result="stopped from outside" ;;
    *) result="FINDING, see $log" ;;
  esac
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
