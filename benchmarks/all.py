"""Run every benchmark of this folder, one process each, and fail when one fails."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: No benchmark takes longer [s].
TIMEOUT_S = 1800


def main() -> int:
    """Give the number of benchmarks that failed."""
    failed = 0
    for script in sorted(HERE.glob("*.py")):
        if script.name == Path(__file__).name or script.name.startswith("_"):
            continue
        print(f"\n== {script.name}", flush=True)
        done = subprocess.run([sys.executable, str(script)], timeout=TIMEOUT_S, check=False)
        failed += done.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
