#!/bin/sh
# Compiler launcher of CUDA sources: runs the command, keeps what ptxas says about registers, shared memory and spills
# in OBJECT.ptxas (tools/kernel_registers.sh reads it), and shows the rest.
# usage: keep_ptxas_report.sh [ccache] nvcc … -o OBJECT
object=
before=
for argument in "$@"; do
  [ "$before" = -o ] && object=$argument
  before=$argument
done
[ -n "$object" ] || exec "$@"

report=$object.ptxas
"$@" 2>"$report"
code=$?
grep -vE '^ptxas info|^ +[0-9]+ bytes stack frame|^$' "$report" >&2
exit $code
