# shellcheck shell=bash
# Sourced by the other scripts: where things lie, when a call has to end, and how results are packed.

repo=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
RUNS=${RUNS:-$repo/runs/gpu} # work in progress, which has to stay on the machine's disk between calls
VENV=${VENV:-$RUNS/venv}
DEADLINE=${DEADLINE:-$(($(date +%s) + 570))} # seconds since 1970

# until_deadline COMMAND...: stops it 40 s before the deadline, which leaves time to pack. Returns 3 then.
until_deadline() {
  local seconds=$((DEADLINE - $(date +%s) - 40)) code=0
  if ((seconds > 0)); then
    timeout --foreground --kill-after=25 "$seconds" "$@" || code=$?
  fi
  if ((seconds <= 0 || code == 124 || code == 137)); then
    echo "out of time: the same call continues" >&2
    return 3
  fi
  return "$code"
}

# pack OUT NAME FILE...: writes those files of $RUNS/NAME that exist to OUT/NAME.tar.gz.00, 01, and so on.
pack() {
  local out=$1 name=$2 file files=()
  for file in "${@:3}"; do
    if [[ -e $RUNS/$name/$file ]]; then files+=("$name/$file"); fi
  done
  mkdir -p "$out"
  rm -f "$out/$name".tar.gz.*
  if ((${#files[@]})); then
    tar -C "$RUNS" -cz "${files[@]}" | split --bytes=15M --numeric-suffixes - "$out/$name.tar.gz."
  fi
}
