#!/usr/bin/env bash
# The tests, from a machine with nothing installed: packages, build, every test; no Python.
#
#   tests/run.sh            the suite (a few minutes)
#   tests/run.sh --full     with the long grids of faults and fuzzing
#   tests/run.sh --asan     built with the address sanitizer (--ubsan: undefined behaviour)
#
# Each skipped test is named with its reason. The last line is `N passed, N failed, N skipped`, of single test cases.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=cpu
for argument in "$@"; do
    case "$argument" in
    --full) export HONE_TESTS_FULL=1 ;;
    --asan) preset=asan ;;
    --ubsan) preset=ubsan ;;
    *)
        echo "tests/run.sh: unknown option $argument; see the head of the file" >&2
        exit 2
        ;;
    esac
done
build=build
[ "$preset" = cpu ] || build="build-$preset"

. ./cmake/packages.sh
install_packages libcmocka-dev
need_writable

echo "== build ($preset)"
cmake --preset "$preset" -DHONE_TESTS=ON >/dev/null # the quickstart leaves them out of the same folder
cmake --build --preset "$preset"

echo "== tests"
log="$build/tests.log"
rm -f "$build"/Testing/Temporary/LastTest*.log # ctest leaves the last ones when it has nothing to write
ctest --test-dir "$build" --output-on-failure -j "$(nproc)" --no-tests=error -O "$build/ctest.log" --quiet || true
cat "$build/Testing/Temporary/LastTest.log" >"$log" || true
broken=0 # test programs that ended badly without naming a failed case, or well without a case
if [ -s "$build/Testing/Temporary/LastTestsFailed.log" ]; then
    while IFS=: read -r _ name; do
        echo "-- failed: $name"
        awk -v name="$name" '/^[0-9]+\/[0-9]+ Test: /{here = $3 == name} here' "$log" >"$build/failed.log"
        tail -n 40 "$build/failed.log"
        grep -q '^\[  FAILED  \] test_' "$build/failed.log" || broken=$((broken + 1))
    done <"$build/Testing/Temporary/LastTestsFailed.log"
fi
for name in $(awk '/^[0-9]+\/[0-9]+ Test: / {name = $3; said = 0} /^\[       OK \]|^\[  SKIPPED \]/ {said = 1}
                   /^Test Passed\./ && !said {print name}' "$log"); do
    echo "-- failed: $name ran no test"
    broken=$((broken + 1))
done
# Each test that was skipped, once (cmocka names it twice), with the reason it gave.
awk '/^\[  SKIPPED \] test_/ {if (last ~ /^skipped: / || !($4 in why)) why[$4] = last} {last = $0}
     END {for (name in why) print "-- " (why[name] ~ /^skipped: / ? why[name] : "skipped: no reason given") " (" name ")"}' \
    "$log" | sort >"$build/skipped.log"
cat "$build/skipped.log"
passed=$(grep -c '^\[       OK \]' "$log" || true)
skipped=$(wc -l <"$build/skipped.log")
failed=$(grep '^\[  FAILED  \] test_' "$log" | sort -u | grep -c . || true)
failed=$((failed + broken))
[ "$passed" -gt 0 ] || echo "-- no test ran"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
