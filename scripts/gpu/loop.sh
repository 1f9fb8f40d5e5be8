#!/usr/bin/env bash
# loop.sh OUT POLICY [--section.key VALUE ...]: runs the loop of loop.toml, starting from a policy.
set -euo pipefail
source "$(dirname "$0")/common.sh"
out=$1 policy=$2

code=0
until_deadline "$VENV/bin/codeit" run "$repo/scripts/gpu/loop.toml" --out "$RUNS/loop" \
  --policy.init "$policy" "${@:3}" || code=$?
pack "$out" loop config.toml metrics.csv solutions.jsonl
exit "$code"
