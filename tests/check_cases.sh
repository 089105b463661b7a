#!/usr/bin/env bash
# Every case of SECURITY.md has a test whose name holds its number, and every numbered test stands there.
#   check_cases.sh CTEST BUILD SECURITY.md [NUMBER…]   numbers: cases that this build cannot test
set -euo pipefail
ctest=$1 build=$2 page=$3
shift 3
tests=$(cd "$build" && "$ctest" -N)
fail=0
for number in $(seq -w 1 24); do
  grep -q "^| $((10#$number)) |" "$page" || { echo "SECURITY.md has no case $number"; fail=1; }
  case " $* " in *" $number "*) echo "case $number: not in this build"; continue ;; esac
  count=$(grep -c "Case${number}_" <<< "$tests" || true)
  echo "case $number: $count tests"
  [ "$count" -gt 0 ] || { echo "no test is called Case${number}_…"; fail=1; }
done
exit $fail
