#!/usr/bin/env bash
# `make build` configures at first, after a configuration that failed, and where flags are given.
# usage: makefile_test.sh MAKEFILE    exit code 77: there is no make here
set -euo pipefail
command -v make >/dev/null || exit 77
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cp "$1" "$tree/Makefile"
cd "$tree"
mkdir tools bin
touch tools/setup.sh
cat >bin/cmake <<'END'
#!/bin/sh
[ "$1" = --build ] && exit
echo "$*" >>configured
mkdir -p build && touch build/CMakeCache.txt
[ ! -e broken ] && touch build/cmake_install.cmake
END
chmod +x bin/cmake

build() {
  rm -f configured
  env -u MAKEFLAGS -u MFLAGS PATH="$tree/bin:$PATH" make BUILD=build "$@" >log 2>&1
}
fail() { echo "$1"; cat log; exit 1; }

touch broken
build build && fail "a failed configuration passed"
rm broken
build build || fail "a failed configuration is not mended by another try"
grep -q -- '-DGRADSCORE_TESTS=OFF' configured || fail "not configured again after a failure"
build build || fail "the second build"
[[ ! -e configured ]] || fail "configured without need"
build build CMAKE_FLAGS='-DGRADSCORE_CUDA=OFF -DCMAKE_CXX_FLAGS="-O1 -g"' || fail "flags"
grep -q -- '-DGRADSCORE_CUDA=OFF -DCMAKE_CXX_FLAGS=-O1 -g$' configured || fail "later flags are lost"
! grep -q TESTS=OFF configured || fail "flags turn the tests off"
build cuda-release || fail "cuda-release"
[[ $(wc -l <configured) == 1 ]] && grep -q -- '-DGRADSCORE_CUDA=ON' configured || fail "cuda-release is not configured once"
echo "configured when it should be"
