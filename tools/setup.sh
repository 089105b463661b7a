#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that are missing; quick where none is.
# usage: tools/setup.sh [--list] GROUP…   groups: build test bench fuzz package; --list only names their packages
set -euo pipefail

list=no
if [ "${1:-}" = --list ]; then
  list=yes
  shift
fi
packages=()
for group in "$@"; do
  case "$group" in
    build) packages+=(g++ cmake ninja-build pkg-config libssl-dev libjpeg-dev libspng-dev libzip-dev libmatio-dev
                      nlohmann-json3-dev libcli11-dev libeigen3-dev libdnnl-dev) ;;
    test) packages+=(libgtest-dev libgmock-dev libboost-context-dev python3) ;;
    bench) packages+=(libbenchmark-dev) ;;
    fuzz) packages+=(clang libclang-rt-dev) ;;
    package) packages+=(dpkg-dev file) ;;
    *) echo "setup: no group '$group'" >&2; exit 2 ;;
  esac
done

if [ "$list" = yes ]; then
  echo "${packages[*]}"
  exit 0
fi
if ! command -v dpkg-query >/dev/null; then
  echo "setup: no dpkg here; make sure these libraries are installed: ${packages[*]}" >&2
  exit 0
fi
missing=()
for package in "${packages[@]}"; do
  # A virtual package (libjpeg-dev) counts when something installed provides it.
  dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

install="apt-get install -y --no-install-recommends ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    as_root=(sudo)
  else
    echo "setup: packages are missing; please run:" >&2
    echo "  sudo apt-get update && sudo $install" >&2
    exit 1
  fi
fi
echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
# shellcheck disable=SC2086
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive $install >/dev/null || {
  echo "setup: apt-get failed; please run: sudo apt-get update && sudo $install" >&2
  exit 1
}
