"""The mutants of the simulation: each applies, and each incident is in one or has a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.mutants import HOUSE, MUTANTS, NOT_EXPRESSED, Edit, Mutant, find, mutate, mutated
from tests.tools.incidents import incidents


def test_each_incident_is_in_a_mutant_or_has_a_reason_why_not() -> None:
    known = {*(incident.number for incident in incidents()), *HOUSE}
    expressed = {fault for mutant in MUTANTS for fault in mutant.faults}
    assert expressed | NOT_EXPRESSED.keys() == known
    assert expressed & NOT_EXPRESSED.keys() == set()


def test_each_mutant_has_a_name_of_its_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)
def test_each_mutant_applies(mutant: Mutant) -> None:
    for module, text in mutate(mutant).items():
        compile(text, module, "exec")


@pytest.mark.parametrize("old", ["no such text", "import"])
def test_a_mutant_that_does_not_apply_once_is_an_error(old: str) -> None:
    with pytest.raises(ValueError, match="does not apply"):
        mutate(Mutant("nothing", (), (Edit("policy/rules.py", old, ""),)))


def test_a_mutant_is_made_in_a_copy(tmp_path: Path) -> None:
    [mutant] = [one for one in MUTANTS if one.name == "keep protects nothing"]
    mutated(mutant, tmp_path)
    for module, text in mutate(mutant).items():
        base = tmp_path if module.startswith("tests/") else tmp_path / "workspace_reaper"
        assert (base / module).read_text(encoding="utf-8") == text


@pytest.mark.once
def test_a_rule_that_is_taken_out_is_found() -> None:
    [mutant] = [one for one in MUTANTS if one.name == "one look is enough for an orphan"]
    story = find(mutant, 1000)
    assert story is not None
    assert "unconfirmed:" in story


@pytest.mark.once
def test_a_reaper_that_ends_nothing_is_found() -> None:
    [mutant] = [one for one in MUTANTS if one.name == "no session passes the guard"]
    story = find(mutant, 1000)
    assert story is not None
    assert "kill deleted: 0 times" in story
