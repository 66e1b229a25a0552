#!/usr/bin/env bash
# The golden files made again and compared, and Hone compared live, with PyTorch, Transformers, TRL and PEFT.
#
#   tests/oracle/run.sh                   makes its Python environment (a few GB), then everything
#       --venv DIR      use this environment, or make it there (default: ~/.cache/hone-oracle)
#       --files DIR     a folder with tokenizers/ and models/: also the ids of real vocabularies
#       --llama-cpp DIR llama.cpp's source, whose scripts make GGUF files, and its library in DIR/build
#       --build DIR     the built tree (default: build, which is built when it is not there)
#       --keep DIR      where the new files go, and stay (default: a folder that is removed)
#       --seed N        the first of two seeds for the odd sizes (default: 1)
#       --update        put what was made in place of the committed files
#
# Nothing here is needed by tests/run.sh. The last line is `N agree, N do not, N skipped`.
set -euo pipefail
cd "$(dirname "$0")/../.."
oracle=$PWD/tests/oracle
venv=${XDG_CACHE_HOME:-$HOME/.cache}/hone-oracle build=build files="" llama_cpp="" work="" seed=1 update=0
while [ $# -gt 0 ]; do
    case "$1" in
    --venv) venv=$2 && shift ;;
    --files) files=$(realpath "$2") && shift ;;
    --llama-cpp) llama_cpp=$(realpath "$2") && shift ;;
    --build) build=$2 && shift ;;
    --keep) work=$2 && shift ;;
    --seed) seed=$2 && shift ;;
    --update) update=1 ;;
    *)
        echo "tests/oracle/run.sh: unknown option $1; see the head of the file" >&2
        exit 2
        ;;
    esac
    shift
done

if [ ! -x "$venv/bin/python" ]; then
    echo "== Python environment in $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet -r "$oracle/requirements.txt"
fi
python=$venv/bin/python
if [ ! -x "$build/bin/hone" ]; then
    echo "== build"
    cmake --preset cpu >/dev/null
    cmake --build --preset cpu
fi
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work"
work=$(realpath "$work")
build=$(realpath "$build")
export PYTHONHASHSEED=0 OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 PYTHONWARNINGS=ignore TRL_EXPERIMENTAL_SILENCE=1

agree=0 differ=0 skipped=0
# step NAME COMMAND...: one comparison, which counts; its words are shown when it fails.
step() {
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        agree=$((agree + 1))
        echo "ok   $name: $(tail -n 1 "$work/log" | cut -c 1-110)"
    else
        differ=$((differ + 1))
        echo "FAIL $name"
        grep -a 'FAIL\|ERROR\|Error\|differ\|off by' "$work/log" | head -n 20 || tail -n 20 "$work/log"
    fi
}
# has NAME MODULE...: can Python import them? Else the step is skipped, by name.
has() {
    local name=$1
    shift
    for module in "$@"; do
        "$python" -c "import $module" 2>/dev/null && continue
        skipped=$((skipped + 1))
        echo "skip $name: no Python module $module"
        return 1
    done
}

new=$work/new unit=$work/unit
rm -rf "$new" "$unit"
mkdir -p "$new" "$unit/h5_hostile"
make_goldens() { HONE_GOLDEN=$new "$python" "$oracle/$1" "${@:2}"; }

echo "== golden files, made again"
step "model_golden.py" make_goldens model_golden.py
step "families_golden.py" make_goldens families_golden.py
step "peft_golden.py" make_goldens peft_golden.py
step "trl_sft.py" make_goldens trl_sft.py
step "trl_reward.py" make_goldens trl_reward.py
step "trl_ppo.py" make_goldens trl_ppo.py
step "tokenizers_jinja.py" make_goldens tokenizers_jinja.py
step "make_torch_files.py" make_goldens make_torch_files.py
if has "quant_golden.py, quant_folders.py" bitsandbytes; then
    step "quant_golden.py" make_goldens quant_golden.py
    step "quant_folders.py" make_goldens quant_folders.py
fi
if [ -n "$llama_cpp" ]; then
    step "make_gguf_files.py" make_goldens make_gguf_files.py "$llama_cpp"
    has "make_gguf_tokenizers.py" sentencepiece google.protobuf &&
        step "make_gguf_tokenizers.py" make_goldens make_gguf_tokenizers.py "$llama_cpp"
else
    skipped=$((skipped + 2))
    echo "skip make_gguf_files.py, make_gguf_tokenizers.py: no --llama-cpp"
fi
if [ -z "$files" ]; then
    skipped=$((skipped + 1))
    echo "skip tokenizers_golden.py, ids of real vocabularies: no --files"
    step "tokenizers_golden.py" make_goldens tokenizers_golden.py
elif has "tokenizers_golden.py" sentencepiece tiktoken; then
    step "tokenizers_golden.py" make_goldens tokenizers_golden.py "$files"
fi
has "make_parquet.py" pyarrow && step "make_parquet.py" make_goldens make_parquet.py
step "make_parquet_hostile.py" make_goldens make_parquet_hostile.py
to_file() { "$python" "$oracle/$2" >"$1"; }
step "make_schedule_cases.py" to_file "$unit/schedule_cases.inc" make_schedule_cases.py
has "make_event_record.py" tensorboard && step "make_event_record.py" to_file "$unit/event_record.inc" make_event_record.py
has "make_h5_hostile.py" h5py && step "make_h5_hostile.py" "$python" "$oracle/make_h5_hostile.py" "$unit/h5_hostile"

echo "== new files against those committed"
# Only what was made: unit/ holds other files too.
committed=$work/committed
rm -rf "$committed" && mkdir -p "$committed/h5_hostile"
cp tests/unit/schedule_cases.inc tests/unit/event_record.inc "$committed"
cp tests/unit/h5_hostile/*.h5 "$committed/h5_hostile"
chmod -R u=rwX,go=rX "$new" "$unit"
against() { "$python" "$oracle/compare.py" --partial "$1" "$2"; }
step "tests/golden/data" against tests/golden/data "$new"
grep -a '^ok' "$work/log" || true
step "tests/unit" against "$committed" "$unit"

echo "== Hone, live"
live() { HONE_GOLDEN=$1 "$build/tests/$2"; }
step "models, golden sizes" live "$new" test_model_golden
for name in sft reward ppo; do step "TRL's trainer: $name" live "$new" test_trl_$name; done
for odd in "$seed" $((seed + 1)); do
    step "sizes of seed $odd in PyTorch" env HONE_GOLDEN="$work/odd-$odd" "$python" "$oracle/model_golden.py" --odd "$odd"
    step "models, sizes of seed $odd" live "$work/odd-$odd" test_model_golden
done
step "folders and adapters in both directions" "$python" "$oracle/model_live.py" "$build/bin"
has "what comes out, in Transformers, PEFT, TRL and gguf" gguf &&
    step "what comes out, in Transformers, PEFT, TRL and gguf" "$python" "$oracle/exports_live.py" "$build/bin"
peer=()
if [ -e "$llama_cpp/build/bin/libllama.so" ]; then peer=("$llama_cpp" "$llama_cpp/build"); fi
has "GGUF files" gguf && step "GGUF files" "$python" "$oracle/gguf_live.py" "$build/bin" "${peer[@]}"
if [ -n "$files" ] && has "tokenizers, 100,000 texts each" sentencepiece gguf; then
    step "tokenizers, 100,000 texts each" "$python" "$oracle/tokenizers_live.py" "$files" "$build/bin/hone" 100000 "$seed"
    grep -a '^|' "$work/log" || true
fi

if [ "$update" = 1 ]; then
    cp -r "$new/." tests/golden/data/
    cp -r "$unit/." tests/unit/
    echo "tests/golden/data and tests/unit now hold what was made"
fi
echo "$agree agree, $differ do not, $skipped skipped"
[ "$differ" -eq 0 ]
