"""Branch coverage of what stands between a request and a payment: a small set of tests, and 100 % or failure.

    python -m tests.covered

The files stand in `pyproject.toml`. Tests over random input are not run: what they reach today they may miss tomorrow.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = (
    "tests/lifecycle",
    "tests/store/test_ledger.py",
    "tests/store/test_ledger_faults.py",
    "tests/store/test_misuse.py",
    "tests/store/test_results.py",
    "tests/store/test_group_commit.py",
    "tests/store/test_unattached.py",
    "tests/store/test_unsettled.py",
    "tests/engine/test_attempts.py",
    "tests/engine/test_submit.py",
    "tests/providers",
)


def main() -> int:
    """Run the tests under measurement, then hold the figures against the demand."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["coverage"]["report"]
    gone = [pattern for pattern in settings["include"] if not list(ROOT.glob(pattern))]
    if gone:
        print(f"no such files any more; say in pyproject.toml where their code went: {', '.join(gone)}")
        return 1
    coverage = [sys.executable, "-m", "coverage"]
    pytest = ["-m", "pytest", "-q", "-p", "no:xdist", "-m", "not hypothesis", *TESTS]
    run = subprocess.run([*coverage, "run", *pytest], cwd=ROOT, env=os.environ | {"PYTEST_ADDOPTS": ""}, check=False)
    if run.returncode:
        return run.returncode
    return subprocess.run([*coverage, "report"], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
