#!/usr/bin/env bash
# Makes the packages as `make package` does; what they hold, what they depend on, and whether what they bring runs.
# usage: tests/install/package_test.sh BINARY VERSION
set -euo pipefail
binary=$1 version=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
cpack --config "$binary/CPackConfig.cmake" -B packages >cpack.log 2>&1 || { cat cpack.log; exit 1; }

mkdir tar
tar -xzf packages/gradscore-"$version"-*.tar.gz -C tar --strip-components=1
[ "$(tar/bin/gradscore --version)" = "$version" ]
for file in lib*/libgradscore.a lib*/cmake/gradscore/gradscoreConfig.cmake include/gradscore/scores/score.h \
    share/man/man1/gradscore.1.gz share/bash-completion/completions/gradscore share/zsh/site-functions/_gradscore \
    share/gradscore/recipes/energy.toml share/doc/gradscore/docs/methods.md share/doc/gradscore/SECURITY.md \
    share/doc/gradscore/LICENSE share/doc/libgradscore-dev/LICENSE; do
  # shellcheck disable=SC2086
  ls tar/$file >/dev/null
done

if compgen -G 'packages/*.deb' >/dev/null; then
  absent() {  # PACKAGE PATTERN
    if dpkg-deb -c "$1" | grep -E -e "$2"; then
      echo "the lines above should not be in $1"
      exit 1
    fi
  }
  runtime=$(ls packages/gradscore_"$version"_*.deb)
  development=$(ls packages/libgradscore-dev_"$version"_*.deb)
  [ "$(dpkg-deb -f "$runtime" Package)" = gradscore ]
  dpkg-deb -f "$runtime" Depends | grep 'libc6 (>= .*libspng0.*libzip' >/dev/null
  dpkg-deb -f "$development" Depends | grep 'libspng-dev' >/dev/null
  dpkg-deb -x "$runtime" root
  [ "$(root/usr/bin/gradscore --version)" = "$version" ]
  absent "$runtime" 'libgradscore|/include/'
  dpkg-deb -c "$runtime" | grep 'usr/share/zsh/vendor-completions/_gradscore' >/dev/null
  dpkg-deb -c "$development" | grep 'usr/lib/.*libgradscore\.a' >/dev/null
  absent "$development" 'usr/bin'
  for package in "$runtime" "$development"; do
    absent "$package" '^.{8}w'  # writable by everybody
    [ "$(dpkg-deb -c "$package" | awk '{print $2}' | sort -u)" = root/root ]
  done
fi
