#!/usr/bin/env bash
# install.sh [WHEELS]: installs codeit beside the PyTorch of $PYTHON, without a network.
set -euo pipefail
source "$(dirname "$0")/common.sh"
wheels=${1:-$repo/dist/wheels}
python=${PYTHON:-python3}

# $PYTHON may itself be of a virtual environment, whose packages a new one would not see. A .pth file
# names their folders. They come last, so that the wheels have precedence.
"$python" -m venv --without-pip --clear "$VENV"
site=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" -c 'import sys; print(*(p for p in sys.path if p.endswith("-packages")), sep="\n")' >"$site/machine.pth"

pip=("$python" -m pip --python "$VENV/bin/python" install --quiet --no-index --no-deps)
"${pip[@]}" "$wheels"/*.whl
"${pip[@]}" --no-build-isolation "$repo"

# Simplified experts and generated inputs, which would take minutes to make.
cache=$("$VENV/bin/python" -c 'from platformdirs import user_cache_path; print(user_cache_path("codeit"))')
mkdir -p "$cache"
tar -C "$cache" -xzf "$wheels/cache.tar.gz"

"$VENV/bin/codeit" --version
"$VENV/bin/codeit" experts
"$VENV/bin/python" -c '
import torch, transformers
gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
print(f"torch {torch.__version__}, transformers {transformers.__version__}, {gpu}")
'
