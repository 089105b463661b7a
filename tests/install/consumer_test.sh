#!/usr/bin/env bash
# Installs the build to a prefix, moves it, and builds and runs the program of docs/embedding.md against it: its scores
# must be those of the installed command, every digit.
# usage: tests/install/consumer_test.sh SOURCE BINARY CXX
set -euo pipefail
command -v python3 >/dev/null || exit 77
source=$1 binary=$2 cxx=$3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

cmake --install "$binary" --prefix "$scratch/first" >install.log
mv first moved
if grep -rlF -e "$scratch/first" -e "$binary" -e "$source" moved/lib*/cmake moved/include; then
  echo "the files above name a folder of the build"
  exit 1
fi
# Messages neither; what is there for debuggers and profilers does.
objcopy --strip-debug moved/bin/gradscore stripped
objcopy --strip-debug moved/lib*/libgradscore.a stripped.a
if grep -aoE -e "$source/[a-z_/]+\.(cpp|h|cuh)" stripped stripped.a; then
  echo "the strings above name the source's folder"
  exit 1
fi

# Every installed header, with nothing but the prefix on the path.
(cd moved/include && find gradscore -name '*.h' | sort) | sed 's/.*/#include <&>/' >headers.cpp
[ "$(wc -l <headers.cpp)" -ge 20 ]
"$cxx" -std=c++20 -Wall -Wextra -Werror -fsyntax-only -Imoved/include headers.cpp

block() {  # LANGUAGE: the first such block of docs/embedding.md
  sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/p" "$source/docs/embedding.md" | sed '1d;/^```$/,$d'
}
mkdir app
block cmake >app/CMakeLists.txt
block cpp >app/main.cpp
cmake -S app -B app/build -DCMAKE_PREFIX_PATH="$scratch/moved" -DCMAKE_CXX_COMPILER="$cxx" >configure.log ||
  { cat configure.log; exit 1; }
cmake --build app/build >build.log || { cat build.log; exit 1; }

# All of the library in a shared one, as an extension of an interpreter would have it.
mkdir extension
cat >extension/CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(extension CXX)
find_package(gradscore REQUIRED)
file(WRITE none.cpp "")
add_library(extension MODULE none.cpp)
target_link_libraries(extension PRIVATE gradscore::gradscore)
target_link_options(extension PRIVATE LINKER:--no-undefined LINKER:--whole-archive $<TARGET_FILE:gradscore::gradscore>
  LINKER:--no-whole-archive)
CMAKE
cmake -S extension -B extension/build -DCMAKE_PREFIX_PATH="$scratch/moved" -DCMAKE_CXX_COMPILER="$cxx" >extension.log &&
  cmake --build extension/build >>extension.log 2>&1 || { cat extension.log; exit 1; }

# Who asks quietly where a library is missing is told that there is no gradscore, and goes on.
mkdir quiet
cat >quiet/CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(quiet CXX)
find_package(gradscore QUIET)
if(gradscore_FOUND OR NOT gradscore_NOT_FOUND_MESSAGE MATCHES "spng")
  message(FATAL_ERROR "found: '${gradscore_FOUND}', '${gradscore_NOT_FOUND_MESSAGE}'")
endif()
CMAKE
PKG_CONFIG_PATH='' PKG_CONFIG_LIBDIR=/none cmake -S quiet -B quiet/build -DCMAKE_PREFIX_PATH="$scratch/moved" \
  -DCMAKE_CXX_COMPILER="$cxx" >quiet.log || { cat quiet.log; exit 1; }

weights=$source/demo/resnet8_shapes.safetensors
methods=msp,energy,gradnorm,odin:epsilon=0.0014,gaia-z,track:layers=head
mkdir images
cp "$source"/tests/data/images/{jpeg_420.jpg,jpeg_cmyk.jpg,jpeg_portrait.jpg,png_c2_d8.png} images/
moved/bin/gradscore score --weights "$weights" --id set=folder:images --methods "$methods" --out run --quiet >score.log 2>&1
(cd images && ../app/build/app "$weights" "$methods" *) >app.out

python3 - run/scores/set.csv app.out <<'PY'
import csv, sys
ours = {}
for line in open(sys.argv[2]):
    image, method, score = line.rsplit(maxsplit=2)
    ours[image, method] = float(score)
compared = 0
for row in csv.DictReader(open(sys.argv[1])):
    for method in list(row)[5:]:
        assert float(row[method]) == ours[row["path"], method], (row["path"], method, row[method], ours[row["path"], method])
        compared += 1
assert compared == len(ours) and compared == 24, (compared, len(ours))
print(compared, "scores equal")
PY
