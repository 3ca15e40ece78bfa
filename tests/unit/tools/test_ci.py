"""CI is red where a result has a hole: a stub takes the place of pipx, and prints what tox would print."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.ci import DEMO, ROOT, RUNS, Expected

pytestmark = pytest.mark.once

BUDGETS = """## Time budgets

<!-- budgets: begin -->
| environment | minutes | |
|---|---|---|
| `unit` | 1 | |
| `lint` | 0.5 | |
| `slow` | 10 | |
| `py399` | 1 | |
<!-- budgets: end -->
"""
TOX = """[tox]
env_list = unit, lint
labels =
    full = slow, py399
    other = unit
"""
FIRST = """unit: commands[0]> pytest -rs
SKIPPED [2] tests/unit/test_a.py:7: no moon tonight
  unit: OK (61.50=setup[1.00]+cmd[60.50] seconds)
  lint: OK (2.00 seconds)
  congratulations :) (63.50 seconds)
"""
FULL = """py399: skipped because could not find python interpreter with spec(s): cpython3.99
  slow: OK (5.00=setup[1.00]+cmd[4.00] seconds)
  py399: SKIP (0.01 seconds)
  congratulations :) (5.01 seconds)
"""


class Ci:
    """A repository with two environments in each run, and a stub of pipx that prints these texts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "tests" / "tools").mkdir(parents=True)
        (root / "tests" / "tools" / "ci.py").write_bytes((ROOT / "tests" / "tools" / "ci.py").read_bytes())
        (root / ".ci").mkdir()
        (root / ".ci" / "run").write_bytes((ROOT / ".ci" / "run").read_bytes())
        (root / "tox.ini").write_text(TOX)
        (root / "CONTRIBUTING.md").write_text(BUDGETS)
        (root / "tests" / "skips.txt").write_text("# a comment\nno moon .*\ncould not find python interpreter .*\n")
        self.first, self.full, self.code, self.demo = FIRST, FULL, 0, 0

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run .ci/run with the stub first on PATH."""
        stub = self.root / "bin" / "pipx"
        stub.parent.mkdir(exist_ok=True)
        texts = {"tox": self.first, "tox run -m full": self.full}
        cases = [f"'run {arguments}') printf %s {shlex.quote(text)};;" for arguments, text in texts.items()]
        cases.append(f"'{' '.join(DEMO[1:])}') exit {self.demo};;")
        stub.write_text(f'#!/bin/sh\ncase "$*" in\n{chr(10).join(cases)}\n*) exit 9;;\nesac\nexit {self.code}\n')
        stub.chmod(0o755)
        tmux = stub.with_name("tmux")
        tmux.symlink_to("/bin/true") if not tmux.exists() else None
        return subprocess.run(
            ["bash", self.root / ".ci" / "run"],
            capture_output=True,
            text=True,
            env={
                **os.environ,
                "PATH": f"{stub.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            },
        )

    def problems(self) -> list[str]:
        """Run it; return the problems that it names. It must be red."""
        done = self.run()
        assert done.returncode == 1, done.stdout + done.stderr
        return [line.removeprefix("FAILED: ") for line in done.stdout.splitlines() if line.startswith("FAILED: ")]


@pytest.fixture
def ci(tmp_path: Path) -> Ci:
    return Ci(tmp_path)


def test_all_well_is_green_with_each_time_beside_its_budget_and_each_skip(ci: Ci) -> None:
    done = ci.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert FIRST in done.stdout
    assert FULL in done.stdout
    shown = [line.split() for line in done.stdout.splitlines()]
    assert ["unit", "OK", "1:02", "1:00", "over", "budget"] in shown
    assert ["lint", "OK", "0:02", "0:30"] in shown
    assert ["py399", "SKIP", "0:00", "1:00"] in shown
    assert "skipped 1 times: no moon tonight" in done.stdout


def test_a_demo_that_fails_is_red(ci: Ci) -> None:
    ci.demo = 2
    assert ci.problems() == [f"{' '.join(DEMO)}: exit code 2"]


def test_the_commands_are_those_of_the_readme() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert f"&& {' '.join(DEMO)}\n" in text
    assert f"\n{' '.join(RUNS['env_list'])}\n" in text


def test_an_environment_that_fails_is_red(ci: Ci) -> None:
    ci.first = FIRST.replace("lint: OK", "lint: FAIL code 1")
    ci.code = 1
    assert ci.problems() == ["pipx run tox: exit code 1", "lint: FAIL", "pipx run tox run -m full: exit code 1"]


def test_an_exit_code_alone_is_red(ci: Ci) -> None:
    ci.code = 3
    assert ci.problems() == ["pipx run tox: exit code 3", "pipx run tox run -m full: exit code 3"]


@pytest.mark.parametrize("run", ["first", "full"])
def test_an_environment_without_a_result_is_red(ci: Ci, run: str) -> None:
    setattr(ci, run, re.sub(r"^  (lint|slow): .*\n", "", getattr(ci, run), flags=re.MULTILINE))
    assert ci.problems() == [f"{'lint' if run == 'first' else 'slow'}: no result"]


def test_a_run_without_output_is_red(ci: Ci) -> None:
    ci.full = ""
    assert ci.problems() == ["slow: no result", "py399: no result"]


def test_a_skipped_environment_without_a_reason_is_red(ci: Ci) -> None:
    ci.first = FIRST.replace("lint: OK", "lint: SKIP")
    assert ci.problems() == ["lint: SKIP"]


def test_an_environment_skipped_for_a_reason_that_is_not_allowed_is_red(ci: Ci) -> None:
    ci.first = "lint: skipped because it is Sunday\n" + FIRST.replace("lint: OK", "lint: SKIP")
    assert ci.problems() == ["lint: SKIP", "lint: skipped, and tests/skips.txt does not allow it: it is Sunday"]


def test_an_environment_skipped_though_its_interpreter_is_installed_is_red(ci: Ci) -> None:
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    ci.full = FULL.replace("3.99", own)
    reason = f"could not find python interpreter with spec(s): cpython{own}"
    assert ci.problems() == ["py399: SKIP", f"py399: skipped, and tests/skips.txt does not allow it: {reason}"]


@pytest.mark.parametrize("reason", ["no sun tonight", "there is no moon", "could not import 'x'"])
def test_a_skipped_test_that_is_not_allowed_is_red(ci: Ci, reason: str) -> None:
    ci.first = FIRST.replace("no moon tonight", reason)
    assert ci.problems() == [f"tests/unit/test_a.py:7: skipped, and tests/skips.txt does not allow it: {reason}"]


def test_a_tmux_that_is_skipped_inside_an_environment_that_is_ok_is_red(ci: Ci) -> None:
    ci.full = "SKIPPED: no tmux 3.8 is available here: no network\n" + FULL
    allowed = "tests/skips.txt does not allow it: no tmux 3.8 is available here: no network"
    assert ci.problems() == [f"SKIPPED: skipped, and {allowed}"]


def test_an_environment_without_a_budget_and_a_budget_without_an_environment_are_red(ci: Ci) -> None:
    (ci.root / "CONTRIBUTING.md").write_text(BUDGETS.replace("`slow`", "`past`"))
    promised = "in only one of tox.ini and the time budgets of CONTRIBUTING.md"
    assert ci.problems() == [f"past: {promised}", f"slow: {promised}"]


# The repository's own files


def test_each_environment_has_a_budget_and_the_sum_is_what_is_promised() -> None:
    expected = Expected.of(ROOT)
    names = [name for names in expected.environments.values() for name in names]
    assert sorted(names) == sorted(expected.budgets)
    assert sum(expected.budgets[name] for name in expected.environments["env_list"]) <= 10 * 60
    assert sum(expected.budgets.values()) <= 35 * 60


def tox_ini() -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "tox.ini", encoding="utf-8")
    return config


@pytest.mark.parametrize(("environment", "markers"), [("race", "race daemon"), ("cao", "cao"), ("postgres", "postgres")])
def test_a_suite_that_names_its_files_names_all_that_have_its_markers(environment: str, markers: str) -> None:
    uses = re.compile(rf"pytest\.mark\.(?:{markers.replace(' ', '|')})\b")
    paths = (path for kind in ("unit", "contract", "integration", "faults") for path in (ROOT / "tests" / kind).rglob("*.py"))
    marked = {str(path.relative_to(ROOT)) for path in paths if uses.search(path.read_text(encoding="utf-8"))}
    [named] = re.findall(r"\{posargs:([^}]*)\}", tox_ini()[f"testenv:{environment}"]["commands"])
    assert set(named.split()) == marked


def test_a_coverage_gate_has_one_pattern_that_matches() -> None:
    """With two, one that matches nothing would pass."""
    patterns = re.findall(r"--include=(\S+)", (ROOT / "tox.ini").read_text(encoding="utf-8"))
    assert [pattern for pattern in patterns if "," in pattern or not list((ROOT / "plugin").glob(f"*{pattern}"))] == []
