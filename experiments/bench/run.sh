#!/usr/bin/env bash
# The benchmark: sets up Hone, oneDNN and the peers, and measures every row in turn (bench.py --help lists the options).
#
#   experiments/bench/run.sh [--venv DIR] [--no-llama] [options of bench.py]
#
# The peers come from PyPI at the versions below, into a folder outside the repository (HONE_BENCH, default
# ~/.cache/hone-bench); --venv takes an environment that is there. Close other programs first: a row counts only while they use
# less than 0.1 core.
set -euo pipefail
cd "$(dirname "$0")/../.."
TORCH=2.11.0 TRANSFORMERS=5.23.0 TRL=1.9.2 PEFT=0.21.2 LLAMA=0.3.36
home=${HONE_BENCH:-${XDG_CACHE_HOME:-$HOME/.cache}/hone-bench}
venv=$home/venv llama=$home/llama
options=()
while [ $# -gt 0 ]; do
    case $1 in
    --venv) venv=${2:?--venv needs a folder}; shift 2 ;;
    --no-llama) llama=; shift ;;
    *) options+=("$1"); shift ;;
    esac
done

. ./cmake/packages.sh
install_packages libdnnl-dev python3-venv python3-pip g++
echo "== build"
cmake --preset cpu >/dev/null
cmake --build --preset cpu --target sft reward ppo hone bench_gemm bench_ops bench_tokenize | tail -n 1

if [ ! -x "$venv/bin/python" ]; then
    echo "== peers into $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q "torch==$TORCH" "transformers==$TRANSFORMERS" "trl==$TRL" "peft==$PEFT" numpy
fi
"$venv/bin/python" -c 'import gguf, sentencepiece' 2>/dev/null || "$venv/bin/pip" install -q gguf sentencepiece

# Only libllama of the source package is built; shape by shape a GGUF of random weights.
if [ -n "$llama" ] && [ ! -x "$llama/llama_decode" ]; then
    echo "== llama.cpp into $llama"
    mkdir -p "$llama"
    [ -d "$llama/source" ] || {
        "$venv/bin/python" experiments/bench/peers/fetch_sdist.py llama-cpp-python "$LLAMA" "$llama/source.tar.gz"
        mkdir "$llama/source"
        tar xzf "$llama/source.tar.gz" -C "$llama/source" --strip-components=1
    }
    cmake -S "$llama/source/vendor/llama.cpp" -B "$llama/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLLAMA_CURL=OFF \
        -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF \
        -DLLAMA_BUILD_COMMON=OFF >/dev/null
    ninja -C "$llama/build" llama | tail -n 1
    gcc -O2 experiments/bench/peers/llama_decode.c -I"$llama/source/vendor/llama.cpp/include" \
        -I"$llama/source/vendor/llama.cpp/ggml/include" -L"$llama/build/bin" -Wl,-rpath,"$llama/build/bin" \
        -lllama -lggml -lggml-base -o "$llama/llama_decode"
fi
for shape in 15m 110m; do
    if [ -n "$llama" ] && [ ! -e "$llama/$shape.gguf" ]; then
        "$venv/bin/python" experiments/bench/peers/llama_gguf.py "$shape" "$llama/$shape.gguf"
    fi
done
exec "$venv/bin/python" experiments/bench/bench.py ${llama:+--llama "$llama"} "${options[@]}"
