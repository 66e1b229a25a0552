#!/usr/bin/env bash
# The long run of the fuzz targets: libFuzzer with the address and undefined behaviour sanitizers, one target after
# another, a million inputs each. Prints the table of README.md, a line a target as it ends.
#
#   tests/fuzz/long_run.sh FOLDER [TARGET...]     from the top of the repository; FOLDER keeps corpora and logs
#   HONE_FUZZ_ROUNDS=N                            inputs a target (1000000)
#   HONE_FUZZ_MORE=FOLDER                         FOLDER/<target>/* are more inputs to begin with: real files
#
# Needs clang, llvm and libclang-rt-dev. What is found (crash-*, leak-*, timeout-*, slow-unit-*) is left in FOLDER/<target>.
set -euo pipefail
export OMP_NUM_THREADS=1

folder=$(realpath -m "$1")
shift
source=$PWD
mkdir -p "$folder"
cmake --preset fuzz >/dev/null
targets=("$@")
[ $# -gt 0 ] || for file in tests/fuzz/fuzz_*.c; do targets+=("$(basename "$file" .c)"); done
cmake --build build-fuzz --target "${targets[@]}" >"$folder/build.log"

echo "commit $(git rev-parse --short HEAD), $(clang --version | head -n 1), $(uname -m)"
echo
echo "| target | day | inputs | edges | features | corpus | lines of the parser's files |"
echo "|---|---|---|---|---|---|---|"
for target in "${targets[@]}"; do
    program=$source/build-fuzz/tests/$target
    mkdir -p "$folder/$target/found"
    cd "$folder/$target"
    # An own corpus, beside the seeds that the target writes and the real files.
    corpora=(found "$target.corpus")
    [ ! -d "${HONE_FUZZ_MORE:-/nowhere}/$target" ] || corpora+=("$HONE_FUZZ_MORE/$target")
    LLVM_PROFILE_FILE=/dev/null "$program" -runs="${HONE_FUZZ_ROUNDS:-1000000}" -dict="$target.dict" -max_len=65536 \
        -timeout=25 -report_slow_units=1 -rss_limit_mb=4096 -print_final_stats=1 "${corpora[@]}" >log 2>&1 ||
        echo "$target stopped; see $folder/$target/log" >&2
    LLVM_PROFILE_FILE=lines.raw "$program" -runs=0 "${corpora[@]}" >again.log 2>&1 || true
    llvm-profdata merge -o lines.data lines.raw
    files=$(sed -n 's/^ \* Parser: //p' "$source/tests/fuzz/$target.c")
    cd "$source"
    lines=$(llvm-cov report "$program" -instr-profile="$folder/$target/lines.data" | files="$files" awk '
        BEGIN {split(ENVIRON["files"], list, "\n"); for (i in list) wanted[list[i]] = 1}
        {sub(/^(\.\.\/)+/, "", $1)} # as seen from where it was built
        $1 in wanted {all += $8; missed += $9} END {printf "%d of %d", all - missed, all}')
    awk -v target="$target" -v day="$(date +%F)" -v lines="$lines" '
        / cov: / {for (i = 1; i < NF; i++) {if ($i == "cov:") edges = $(i + 1); if ($i == "ft:") features = $(i + 1)
                  if ($i == "corp:") corpus = $(i + 1)}}
        /stat::number_of_executed_units/ {inputs = $2}
        END {sub(/\/.*/, "", corpus)
             print "| " target " | " day " | " inputs " | " edges " | " features " | " corpus " | " lines " |"}' \
        "$folder/$target/log"
done
