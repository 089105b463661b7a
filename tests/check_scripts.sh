#!/usr/bin/env bash
# Every file with a #! line is executable, and every shell script among them parses. A make target that calls a
# damaged script fails only on a newcomer's machine, where nothing is installed yet.
# usage: tests/check_scripts.sh ROOT
set -euo pipefail
cd "$1"
bad=0
while IFS= read -r file; do
  first=$(head -n 1 "$file")
  if [[ ! -x $file ]]; then
    echo "$file: has a #! line, but is not executable"
    bad=1
  fi
  if [[ $first == *bash* || $first == */sh ]] && ! bash -n "$file"; then
    bad=1
  fi
done < <(grep -rlIE --exclude-dir='build*' --exclude-dir='.git' -m1 '^#!' . | while IFS= read -r f; do
           [[ $(head -c 2 "$f") == '#!' ]] && echo "$f"; done)
while IFS= read -r file; do  # a script by its name whose first line is damaged
  if ! head -n 1 "$file" | grep -qE '^#!/usr/bin/env (bash|python3)$|^#!/bin/(ba)?sh'; then
    echo "$file: its first line does not name an interpreter"
    bad=1
  fi
done < <(find . -name '*.sh' -not -path './build*' -not -path './.git/*')
exit $bad
