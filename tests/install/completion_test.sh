#!/usr/bin/env bash
# Drives bash's and zsh's completion as a user's key would, and checks the manual page.
# usage: tests/install/completion_test.sh bash|zsh|manual GRADSCORE; 77: the shell, or python3, is not here
set -euo pipefail
command -v python3 >/dev/null || exit 77
what=$1 gradscore=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
mkdir -p photos/cats
touch weights.pth 'photos/a b.jpg'
bad=0

check() {  # LINE EXPECTED-REPLIES GOT
  if [[ $3 != "$2" ]]; then
    echo "'$1': expected '$2', got '$3'"
    bad=1
  fi
}

type_keys() {  # SETUP SHELL…; stdin: lines TYPED|WHAT-TAB-COMPLETES-IT-TO, each typed on an empty command line
  local setup=$1
  shift
  python3 <(cat <<'PY'
import os, pty, select, sys, time
setup, *shell = [word.encode() for word in sys.argv[1:]]
keys = [line.rstrip("\n").encode().split(b"|") for line in sys.stdin]
pid, fd = pty.fork()
if pid == 0:
    os.environ.update(TERM="dumb", PS1="> ", PROMPT="> ", INPUTRC="/dev/null", HISTFILE="", ZDOTDIR=os.getcwd())
    os.execvp(shell[0], shell)
def type_and_wait(typed, text, seconds=20):
    os.write(fd, typed)
    seen, end = b"", time.time() + seconds
    while text not in seen:
        if time.time() > end:
            sys.exit(f"no {text!r} in {seen!r}")
        if select.select([fd], [], [], 0.2)[0]:
            seen += os.read(fd, 4096)
type_and_wait(setup + b" && echo re''ady\n", b"ready")
for typed, completed in keys:
    type_and_wait(typed + b"\t", completed)
    os.write(fd, b"\x15")
os.write(fd, b"exit\n")
PY
  ) "$setup" "$@"
}

in_bash() {
  "$gradscore" completion bash >script
  # shellcheck disable=SC1091
  source ./script
  local line expected
  set +e  # the script is made for an interactive shell
  while IFS='|' read -r line expected; do
    COMP_LINE=$line COMP_POINT=${#line} COMPREPLY=()
    _gradscore
    check "$line" "$expected" "$(printf '%s\n' "${COMPREPLY[@]}" | sort | paste -sd' ')"
  done <<'CASES'
gradscore sco|score
gradscore score --weig|--weights
gradscore score --weights w|weights.pth
gradscore score --methods=msp,odi|msp,odin
gradscore score --methods msp,odin:te|temperature=
gradscore score --methods msp,odin:temperature=5:ep|epsilon=
gradscore score --id photos=fol|folder:
gradscore score --ood fol|folder:
gradscore score --id photos=folder:pho|photos
gradscore score --net bit-r101|bit-r101x1 bit-r101x3
gradscore plan --net=resnet50-|resnet50-cifar
gradscore track --score p|pred
gradscore score --score p|
gradscore train wrn|wrn-40-2
gradscore train w|weights.pth wrn-40-2
gradscore reproduce energy|energy-wrn
gradscore metrics ph|photos
gradscore report photos ph|photos
gradscore score --config we|weights.pth
gradscore --config weights.pth dev|devices
gradscore score --device cp|cpu
gradscore score --save logits,fe|logits,features
gradscore score --limit |
gradscore compl|
CASES
  set -e
  # bash itself calls the function, breaks words and puts the reply in.
  type_keys "source ./script" bash --norc --noprofile -i <<'KEYS'
echo; gradscore score --id photos=folder:phot|folder:photos/
gradscore score --methods msp,odin:temp|odin:temperature=
KEYS
}

in_zsh() {
  command -v zsh >/dev/null || exit 77
  "$gradscore" completion zsh >_gradscore
  # shellcheck disable=SC2016
  type_keys 'fpath=($PWD $fpath); autoload -Uz compinit && compinit -u -D' zsh -f -i <<'KEYS'
gradscore thresh|gradscore threshold 
gradscore score --weig|--weights=
gradscore score --weights wei|weights.pth
gradscore score --methods msp,maha|msp,mahalanobis
gradscore score --methods msp,odin:temp|odin:temperature=
gradscore score --id photos=fol|photos=folder:
gradscore score --id photos=folder:pho|photos=folder:photos/
gradscore plan --net mobile|mobilenet-v2
gradscore train energ|energy
gradscore track --score unif|uniform
gradscore merge out wei|weights.pth
KEYS
}

in_manual() {
  "$gradscore" manual >gradscore.1
  if LC_ALL=C grep -nP '[^\x00-\x7f]' gradscore.1; then bad=1; fi
  local text
  # groff's warnings are all about something that a reader would see.
  if command -v groff >/dev/null; then
    groff -ww -man -Tutf8 gradscore.1 >page 2>warnings
    if [ -s warnings ]; then cat warnings && bad=1; fi
    text=$(sed 's/\x1b\[[0-9;]*m//g; s/.\x08//g' page)
    for part in 'gradscore merge out in' 'METHODS' 'odin' 'folder, list' '130' '--max-pixels' 'SYNOPSIS'; do
      grep -qF -e "$part" <<<"$text" || { echo "not in the page: $part"; bad=1; }
    done
  fi
  if command -v mandoc >/dev/null; then
    mandoc -Tlint -Wwarning gradscore.1 | grep -v 'missing date' && bad=1  # two builds make the same page
  fi
  command -v groff >/dev/null || command -v mandoc >/dev/null || exit 77
}

"in_$what"
exit $bad
