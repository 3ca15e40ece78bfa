"""Run README's two commands and then the environments under the label ``full``, and fail where a result has a hole.

    python3 tests/tools/ci.py

tox ends well when it skips an environment, and pytest when it skips a test. Here every environment of tox.ini must be OK, every
skip needs a line in tests/skips.txt, and each environment has a time budget in CONTRIBUTING.md. Only the standard library is
needed, because this runs outside of any environment.
"""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEMO = ("pipx", "run", "--spec", "uv", "uv", "run", "workspace-reaper", "demo")
RUNS = {"env_list": ("pipx", "run", "tox"), "full": ("pipx", "run", "tox", "run", "-m", "full")}

RESULT = re.compile(r"^  (?P<name>[\w.-]+): (?P<result>[A-Z][A-Z ]*?)(?: code -?\d+)? \((?P<seconds>[\d.]+)\b.*seconds\)$")
SKIPS = (
    re.compile(r"^(?P<name>[\w.-]+): skipped because (?P<reason>.+)$"),
    re.compile(r"^SKIPPED \[\d+\] (?P<name>\S+?): (?P<reason>.+)$"),
    re.compile(r"^(?P<name>SKIPPED): (?P<reason>.+)$"),
)
INTERPRETER = re.compile(r"python interpreter with spec\(s\): .*?(?P<version>3\.\d+)$")
BUDGET = re.compile(r"^\| `(?P<name>[\w.-]+)` \| (?P<minutes>[\d.]+) \|", re.MULTILINE)


@dataclass
class Outcome:
    """What one environment came to."""

    result: str
    seconds: float


@dataclass
class Run:
    """The outcome of each environment of one tox command, the skips that it reported, and its exit code."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    skips: list[tuple[str, str]] = field(default_factory=list)
    code: int = 0

    def read(self, line: str) -> None:
        """Take in one line of tox's output."""
        if found := RESULT.match(line):
            self.outcomes[found["name"]] = Outcome(found["result"], float(found["seconds"]))
        for pattern in SKIPS:
            if found := pattern.match(line):
                self.skips.append((found["name"], found["reason"]))
                return


@dataclass
class Expected:
    """What the repository promises: the environments of each command, their budgets in seconds, and the skips it allows."""

    environments: dict[str, list[str]]
    budgets: dict[str, float]
    allowed: list[str]

    @classmethod
    def of(cls, root: Path) -> Expected:
        """Read tox.ini, CONTRIBUTING.md and tests/skips.txt."""
        tox = configparser.ConfigParser(interpolation=None)
        tox.read(root / "tox.ini", encoding="utf-8")
        labels = dict(line.split("=", 1) for line in tox["tox"]["labels"].strip().splitlines())
        named = {"env_list": tox["tox"]["env_list"], **{name.strip(): names for name, names in labels.items()}}
        table = (root / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("<!-- budgets: begin -->")[2]
        lines = (root / "tests" / "skips.txt").read_text(encoding="utf-8").splitlines()
        return cls(
            {run: re.split(r"[,\s]+", named[run].strip()) for run in RUNS},
            {
                found["name"]: 60 * float(found["minutes"])
                for found in BUDGET.finditer(table.partition("<!-- budgets: end -->")[0])
            },
            [line for line in lines if line and not line.startswith("#")],
        )

    def allows(self, reason: str) -> bool:
        """Return whether a line of tests/skips.txt matches the whole reason and the reason is true."""
        missing = INTERPRETER.search(reason)
        return not (missing and installed(missing["version"])) and any(re.fullmatch(line, reason) for line in self.allowed)

    def problems(self, runs: Mapping[str, Run]) -> Iterable[str]:
        """Name each hole in these results."""
        promised = {name for names in self.environments.values() for name in names}
        for name in sorted(promised ^ set(self.budgets)):
            yield f"{name}: in only one of tox.ini and the time budgets of CONTRIBUTING.md"
        for run, done in runs.items():
            skipped = {name for name, reason in done.skips if self.allows(reason)}
            if done.code:
                yield f"{' '.join(RUNS[run])}: exit code {done.code}"
            for name in self.environments[run]:
                outcome = done.outcomes.get(name)
                if outcome is None:
                    yield f"{name}: no result"
                elif outcome.result != "OK" and not (outcome.result == "SKIP" and name in skipped):
                    yield f"{name}: {outcome.result}"
            for name, reason in done.skips:
                if not self.allows(reason):
                    yield f"{name}: skipped, and tests/skips.txt does not allow it: {reason}"


def installed(version: str) -> bool:
    """Return whether this Python starts. A name on PATH may be a shim with no interpreter behind it."""
    for directory in os.get_exec_path():
        program = Path(directory) / f"python{version}"
        if (
            os.access(program, os.X_OK)
            and subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode == 0
        ):
            return True
    return False


def execute(command: Sequence[str], root: Path) -> Run:
    """Run one tox command, show its output as it comes, and return what it reports."""
    run = Run()
    environment = {**os.environ, "NO_COLOR": "1"}
    with subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            run.read(line.rstrip())
    run.code = process.returncode
    return run


def clock(seconds: float) -> str:
    """Format a duration as minutes and seconds."""
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"


def report(expected: Expected, runs: Mapping[str, Run]) -> None:
    """Print the time of each environment beside its budget, and the reason of each skip."""
    print(f"\n{'environment':12} {'result':8} {'time':>7} {'budget':>7}")
    for run, done in runs.items():
        for name, outcome in done.outcomes.items():
            budget = expected.budgets.get(name, 0)
            late = "  over budget" if outcome.seconds > budget else ""
            print(f"{name:12} {outcome.result:8} {clock(outcome.seconds):>7} {clock(budget):>7}{late}")
        total = sum(outcome.seconds for outcome in done.outcomes.values())
        budget = sum(expected.budgets.get(name, 0) for name in expected.environments[run])
        print(f"{' '.join(RUNS[run]):21} {clock(total):>7} {clock(budget):>7}")
    for reason, count in sorted(Counter(reason for done in runs.values() for _, reason in done.skips).items()):
        print(f"skipped {count} times: {reason}")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def main(root: Path = ROOT) -> int:
    """Run the demo and both tox commands; return 1 where anything is missing."""
    expected = Expected.of(root)
    demo = subprocess.run(DEMO, cwd=root, check=False).returncode
    runs = {run: execute(command, root) for run, command in RUNS.items()}
    report(expected, runs)
    problems = [f"{' '.join(DEMO)}: exit code {demo}"] if demo else []
    problems += expected.problems(runs)
    for problem in problems:
        print(f"FAILED: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
