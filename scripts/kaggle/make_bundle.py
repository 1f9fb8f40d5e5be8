"""Makes the folder that a Kaggle notebook without a network needs (docs/kaggle.md).

    python scripts/kaggle/make_bundle.py codeit-bundle

It has `run.py`, the wheels of codeit, with the shipped policy, and of what codeit needs, in the pinned
versions, and the simplified experts, which would take minutes of the notebook's time. The wheels are
for the system and the minor version of Python that run this script, in an environment with codeit.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from codeit.data.experts import load_experts

ROOT = Path(__file__).parents[2]
RUN = Path(__file__).with_name("run.py")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="the folder, which must be new or empty")
    out: Path = parser.parse_args().out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        parser.error(f"{out}: expected a new or an empty folder, found something in it; choose another")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(out / "wheels")]
    subprocess.run([*pip, "--constraint", str(ROOT / "constraints.txt"), str(ROOT)], check=True)
    shutil.copy(RUN, out)
    load_experts(directory=out / "cache/codeit")
    files = [file for file in out.rglob("*") if file.is_file()]
    print(f"{out}: {len(files)} files, {sum(file.stat().st_size for file in files) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
