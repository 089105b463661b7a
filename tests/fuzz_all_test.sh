#!/usr/bin/env bash
# What tools/fuzz_all.sh calls a finding, with programs that stand for fuzz targets. usage: fuzz_all_test.sh FUZZ_ALL
set -euo pipefail
fuzz_all=${1:?usage: fuzz_all_test.sh FUZZ_ALL}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
mkdir -p "$place/tests/fuzz"

# target NAME: a program that runs `fuzzed` as fuzz target, in the folder of its findings, and `replayed` with one input.
target() {
  {
    echo '#!/usr/bin/env bash'
    echo 'spend() { local -a stat=(); until ((stat[13] + stat[14] >= $1 * 100)); do read -ra stat </proc/$$/stat; done; }'
    cat
    echo 'for argument; do case $argument in -artifact_prefix=*) cd "${argument#*=}" && fuzzed; exit;; esac; done'
    echo 'replayed'
  } >"$place/tests/fuzz/fuzz_$1"
  chmod +x "$place/tests/fuzz/fuzz_$1"
}
target quiet <<'END'
fuzzed() { echo 'stat::number_of_executed_units: 7'; spend 1; }
END
target starved <<'END'
fuzzed() { if [ -e "$0.ran" ]; then spend 1; else touch "$0.ran" timeout-a; exit 70; fi; }
replayed() { sleep 2; }
END
target endless <<'END'
fuzzed() { touch timeout-a; exit 70; }
replayed() { spend 60; }
END
target broken <<'END'
fuzzed() { touch crash-a; exit 77; }
END

failures=0
# expect NAME STATUS TEXT FILES: of one target's run.
expect() {
  local status=0 printed
  printed=$(FUZZ_BUILD=$place FUZZ_WORK=$place/work FUZZ_SECONDS=1 FUZZ_UNIT_SECONDS=1 bash "$fuzz_all" "$1" 2>&1) || status=$?
  local files
  files=$(ls "$place/work/findings/$1")
  if [ "$status" != "$2" ] || [[ $printed != *"$3"* ]] || [ "$files" != "$4" ]; then
    echo "$1: ended with $status, left '$files', said: $printed"
    failures=$((failures + 1))
  fi
}
expect quiet 0 ' quiet: 7 inputs in 1 s, 0 kept, no finding' ''
expect starved 0 'no finding' ''
expect endless 1 'FINDING' timeout-a
expect broken 1 'FINDING' crash-a
[ "$failures" -eq 0 ] && echo "fuzz_all.sh: what is a finding is one"
exit "$failures"
