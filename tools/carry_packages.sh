#!/usr/bin/env bash
# Downloads the libraries that gradscore is built with, as Debian or Ubuntu packages of this machine's release, for a
# machine without network or packages: copy the folder there and run PACKAGES=FOLDER tools/gpu_check.sh. Compilers,
# CMake and libc are that machine's own; oneDNN, which is large, is done without.
# usage: tools/carry_packages.sh FOLDER
set -euo pipefail
folder=${1:?usage: tools/carry_packages.sh FOLDER}
setup="$(cd "$(dirname "$0")" && pwd)/setup.sh"
mkdir -p "$folder"

read -ra wanted <<<"$("$setup" --list build test | tr ' ' '\n' | grep -vE '^(g\+\+|cmake|ninja-build|libdnnl-dev)$' | tr '\n' ' ')"
# As if nothing were installed, so that what this machine has already comes along.
mapfile -t all < <(apt-get -s -o Dir::State::status=/dev/null --no-install-recommends install "${wanted[@]}" |
  awk '/^Inst/ { print $2 }' |
  grep -vE '^(gcc|g\+\+|cpp|binutils|linux|googletest|rpcsvc|libc6|libc-|libgcc|libstdc|libcrypt|libgfortran)|fortran|^lib(asan|lsan|tsan|ubsan|hwasan|itm|atomic|gomp|quadmath|cc1)[-0-9]')
cd "$folder"
apt-get download "${all[@]}"
du -sh . | awk '{ print "carried: " $1 }'
