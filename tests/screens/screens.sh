#!/bin/sh
# Runs every script of this folder; says what failed. --update writes the golden files anew.
# MCPC_TOOLS: where the tests were built (build/release/tests).
update=
[ "${1:-}" = --update ] && update=$1
here=$(dirname "$0")
drive=${MCPC_TOOLS:-$here/../../build/release/tests}/screens/drive
failed=0 passed=0
for script in "$here"/*.script; do
    if "$drive" $update "$script"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "not ok - $(basename "$script")"
    fi
done
echo "screens: $passed passed, $failed failed"
[ "$failed" = 0 ]
