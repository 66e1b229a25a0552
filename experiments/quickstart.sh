#!/usr/bin/env bash
# From a machine with nothing installed to a language model trained with human feedback: packages, build, and the
# story world's base -> SFT -> reward model -> PPO. Interrupt it with Ctrl-C; the same command goes on.
#
#   experiments/quickstart.sh [key=value ...]      e.g. seeds=1,2,3 (see experiments/quickstart/experiment.yaml)
set -euo pipefail
cd "$(dirname "$0")/.."

. ./cmake/packages.sh
install_packages
need_writable

if [ ! -x build/bin/hone ] || [ ! -x build/bin/storyworld ]; then
    echo "== build"
    cmake --preset cpu -DHONE_TESTS=OFF >/dev/null
    cmake --build --preset cpu --target sft reward ppo hone storyworld | tail -n 1
fi
exec build/bin/hone run experiments/quickstart/experiment.yaml "$@"
