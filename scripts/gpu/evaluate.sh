#!/usr/bin/env bash
# evaluate.sh OUT WHICH [SAMPLES [OPTION ...]]: samples from a policy: shipped, pretraining or loop (its last).
set -euo pipefail
source "$(dirname "$0")/common.sh"
out=$1 which=$2 samples=${3:-400}

policy=() name=evaluation-$which
case $which in
  shipped) ;;
  pretraining) policy=("$RUNS/pretraining/policy") ;;
  loop)
    checkpoints=("$RUNS"/loop/checkpoints/*[0-9])
    policy=("${checkpoints[-1]}")
    name+=-$(basename "${policy[0]}")
    ;;
  *)
    echo "evaluate.sh: expected shipped, pretraining or loop, found $which" >&2
    exit 2
    ;;
esac

code=0
until_deadline "$VENV/bin/codeit" evaluate-policy "${policy[@]}" --out "$RUNS/$name" --samples "$samples" \
  "${@:4}" || code=$?
pack "$out" "$name" counts.json curve.csv solutions.jsonl
exit "$code"
