"""Run every benchmark of this folder, one process each, and fail when one fails.

    python benchmarks/all.py [--out FILE]

With `--out` the figures of those that print JSON are written to FILE, with the versions of what
they ran on.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: No benchmark takes longer [s].
TIMEOUT_S = 1800
#: Besides Tieline and Python, what the figures depend on.
PACKAGES = ("tieline", "numba", "numpy", "polars", "highspy", "scipy")


def scripts() -> list[Path]:
    """Give the benchmarks; files with a leading underscore are parts of them."""
    found = sorted(HERE.glob("*.py"))
    return [path for path in found if path.name[0] != "_" and path.name != Path(__file__).name]


def versions() -> dict[str, str | int | None]:
    """Give what the figures were made with."""
    commit = subprocess.run(
        ["git", "-C", str(HERE), "rev-parse", "HEAD"],  # noqa: S607  # as found on the PATH
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "commit": commit.stdout.strip() or None,
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }


def main() -> int:
    """Give the number of benchmarks that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, metavar="FILE")
    options = parser.parse_args()
    failed, figures = 0, {}
    for script in scripts():
        print(f"\n== {script.name}", file=sys.stderr if options.out else sys.stdout, flush=True)
        speaks = options.out is not None and '"--json"' in script.read_text(encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(script), *(["--json"] if speaks else [])],
            timeout=TIMEOUT_S,
            check=False,
            stdout=subprocess.PIPE if speaks else None,
        )
        failed += done.returncode != 0
        if speaks and done.returncode == 0:
            figures[script.stem] = json.loads(done.stdout)
    if options.out is not None:
        document = {"versions": versions(), "benchmarks": figures}
        options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return failed


if __name__ == "__main__":
    sys.exit(main())
