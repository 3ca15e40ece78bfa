"""``python -m tests.tools.red_on [I68 …]``: show that the tests of an incident fail on the commit that had the fault.

For each incident with ``red_on`` in ``incidents.toml``, the product of that commit is unpacked into a temporary directory, and
the tests of today run on it. A test that passes there would say nothing of the fault. Prints a line for each test, and exits
with 1 if one of them passes.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.tools.incidents import ROOT, Incident, Test, incidents, named_tests

PACKAGES = ("plugin", "hookspecs")


def unpack(commit: str, directory: Path) -> None:
    """Write the packages of that commit into the directory."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit, *PACKAGES], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(directory, filter="data")


def run(product: Path, incident: Incident, test: Test) -> str:
    """Run one test on that product. Returns ``failed``, ``passed``, or what else pytest says in its last line."""
    name = f"test_{incident.number.lower()}_{test.sentence.replace(' ', '_')}"
    path = os.pathsep.join(str(product / package) for package in PACKAGES)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", test.path, "-k", name]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    return {0: "passed", 1: "failed"}.get(done.returncode, done.stdout.strip().rpartition("\n")[2])


def main(*numbers: str) -> int:
    """Run the tests of these incidents, or of all that have a commit."""
    found, tests = 0, named_tests()
    for incident in incidents():
        if not incident.red_on or (numbers and incident.number not in numbers):
            continue
        with tempfile.TemporaryDirectory() as directory:
            unpack(incident.red_on, Path(directory))
            for test in tests[incident.number]:
                result = run(Path(directory), incident, test)
                found += result != "failed"
                print(f"{incident.number} on {incident.red_on}: {result}: {test.sentence}", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
