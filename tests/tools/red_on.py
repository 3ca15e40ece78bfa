"""``python -m tests.tools.red_on [I68 …]``: show that the tests of an incident fail on the commit that had the fault.

For each incident with ``red_on`` in ``incidents.toml``, the product of that commit is unpacked into a temporary directory, and
the tests of today run on it. A test that passes there would say nothing of the fault. A test of a part that this commit does
not have cannot run there. Prints a line for each test, and exits with 1 if one passes, or if none of an incident fails.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.tools.commands import PRODUCT
from tests.tools.incidents import ROOT, Incident, Test, incidents, named_tests

PACKAGES = ("plugin", "hookspecs")


def unpack(commit: str, directory: Path) -> None:
    """Write the packages of that commit into the directory."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit, *PACKAGES], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(directory, filter="data")


def run(product: Path, incident: Incident, test: Test) -> str:
    """Run one test on that product. Returns ``failed``, ``passed``, or ``cannot run`` with pytest's last line."""
    name = f"test_{incident.number.lower()}_{test.sentence.replace(' ', '_')}"
    path = os.pathsep.join(str(product / package) for package in PACKAGES)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", test.path, "-k", name]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path, PRODUCT: path}, capture_output=True, text=True, check=False
    )
    last_line = done.stdout.strip().rpartition("\n")[2]
    return {0: "passed", 1: "failed"}.get(done.returncode, f"cannot run ({last_line})")


def main(*numbers: str) -> int:
    """Run the tests of these incidents, or of all that have a commit."""
    is_wrong, tests = False, named_tests()
    for incident in incidents():
        if not incident.red_on or (numbers and incident.number not in numbers):
            continue
        with tempfile.TemporaryDirectory() as directory:
            unpack(incident.red_on, Path(directory))
            results = []
            for test in tests[incident.number]:
                results.append(run(Path(directory), incident, test))
                print(f"{incident.number} on {incident.red_on}: {results[-1]}: {test.sentence}", flush=True)
            is_wrong |= "passed" in results or "failed" not in results
    return int(is_wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
