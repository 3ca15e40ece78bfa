"""``python -m tests.tools.red_on [I68 …]``: show that the tests of an incident fail on the commit that had the fault.

For each incident with ``red_on`` in ``incidents.toml``, the product of that commit is unpacked into a temporary directory, and
the tests of today run on it. A test that passes there would say nothing of the fault. A test of a part that this commit does
not have cannot run there. Prints for each test its result and how it ended, and for each incident the counts. Exits with 1 if a
test passes, or if none of an incident fails.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tests.tools.commands import PRODUCT
from tests.tools.incidents import ROOT, Incident, Test, incidents, named_tests

PACKAGES = ("plugin", "hookspecs")
RESULTS = ("failed", "passed", "cannot run")
"""The result of a test is the first of these that one of its examples has."""

SHOWN = 3
"""How many of the ways in which the examples of a test ended are printed."""

_MISSING = re.compile(r"(?:ImportError|ModuleNotFoundError|AttributeError|TypeError|KeyError)\b")
"""How a test ends that uses a part of the product that is not there."""


def unpack(commit: str, directory: Path) -> None:
    """Write the packages of that commit into the directory."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit, *PACKAGES], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(directory, filter="data")


def run(product: Path, number: str, files: Sequence[str]) -> Mapping[tuple[str, str], list[tuple[str, str]]]:
    """Run the tests of one incident on that product.

    Each has pytest's time limit, and one that exceeds it has failed.

    Returns:
        For each test function, by its module and name, the results of its examples with the first line of how each ended. It is
        empty if this product lacks what the tests share.
    """
    path = os.pathsep.join(str(product / package) for package in PACKAGES)
    report = product / "results.xml"
    options = ["-q", "-n2", "-p", "no:cacheprovider", "--continue-on-collection-errors", f"--junit-xml={report}"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-k", f"{number.lower()}_", *files],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, PRODUCT: path},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    found = defaultdict(list)
    if not report.exists():
        return found
    for case in ElementTree.parse(report).iter("testcase"):
        found[case.get("classname", ""), case.get("name", "").partition("[")[0]].append(_result(case))
    return found


def _result(case: ElementTree.Element) -> tuple[str, str]:
    for kind in ("failure", "error", "skipped"):
        for ended in case.iter(kind):
            line = ended.get("message", "").strip().partition("\n")[0]
            return ("failed" if kind == "failure" and not _MISSING.match(line) else "cannot run"), line
    return "passed", ""


def results(product: Path, incident: Incident, tests: Sequence[Test]) -> Iterator[str]:
    """Run the tests of one incident, print how each ended, and yield its result."""
    found = run(product, incident.number, sorted({test.path for test in tests}))
    for test in tests:
        # A file that cannot be imported has no tests.
        module = test.path.removesuffix(".py").replace("/", ".")
        examples = found.get((module, test.name)) or [("cannot run", "its file cannot be imported")]
        result = min((result for result, _ in examples), key=RESULTS.index)
        passed = sum(one == "passed" for one, _ in examples)
        note = f" ({passed} of {len(examples)} examples passed)" if passed else ""
        print(f"{incident.number}: {result}{note}: {test.name}")
        for line in sorted({line for one, line in examples if one == result}, key=len)[:SHOWN]:
            print(f"    {line[:200]}", flush=True)
        yield result


def main(*numbers: str) -> int:
    """Run the tests of these incidents, or of all that have a commit."""
    is_wrong, tests = False, named_tests()
    for incident in incidents():
        if not incident.red_on or (numbers and incident.number not in numbers):
            continue
        with tempfile.TemporaryDirectory() as directory:
            unpack(incident.red_on, Path(directory))
            counts = Counter(results(Path(directory), incident, tests[incident.number]))
        print(f"{incident.number} on {incident.red_on}: " + ", ".join(f"{counts[result]} {result}" for result in RESULTS))
        is_wrong |= counts["passed"] > 0 or counts["failed"] == 0
    return int(is_wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
