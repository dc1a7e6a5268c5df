#!/bin/sh
# Node 22 and npm packages for the tests, under build/peers, never beside the sources.
# usage: dir=$(tests/peers/node22.sh NAME PACKAGE@VERSION...) || exit $?
# Prints the folder with node_modules (and .bin/node) in it. 77, with the reason on standard error, where
# that cannot be had.
set -u
name=$1
shift
dir=$PWD/build/peers/$name
skip() { echo "SKIP $name: $1" >&2; exit 77; }
command -v npm >/dev/null 2>&1 || skip 'npm is not installed'
mkdir -p "$dir" || exit 1
wanted="node@22 $*"
if [ ! -e "$dir/installed" ] || [ "$(cat "$dir/installed")" != "$wanted" ]; then
  # shellcheck disable=SC2086
  npm install --prefix "$dir" --no-audit --no-fund --loglevel=error $wanted >"$dir/npm.log" 2>&1 ||
    skip "npm cannot install it: $(tail -n 1 "$dir/npm.log")"
  echo "$wanted" >"$dir/installed"
fi
node=$dir/node_modules/.bin/node
[ "$("$node" -p 'process.versions.node.split(".")[0]' 2>/dev/null)" = 22 ] || skip 'Node 22 does not run here'
echo "$dir"
