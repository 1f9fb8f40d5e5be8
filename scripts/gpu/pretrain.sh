#!/usr/bin/env bash
# pretrain.sh OUT [MINUTES [--section.key VALUE ...]]: trains a policy as configured by pretrain-gpu.
set -euo pipefail
source "$(dirname "$0")/common.sh"
out=$1 minutes=${2:-15} cores=$(nproc)

code=0
until_deadline "$VENV/bin/codeit" pretrain pretrain-gpu --out "$RUNS/pretraining" \
  --pretraining.minutes "$minutes" --pretraining.workers $((cores > 2 ? cores - 1 : 2)) "${@:3}" || code=$?
pack "$out" pretraining config.toml progress.csv policy
exit "$code"
