"""Proof of registry: is this the one that knew these workspaces?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.tools.builders import OURS, changed, ledger_state, registry, row, rows, session
from workspace_reaper.model.session import Owner
from workspace_reaper.model.state import RegistryState
from workspace_reaper.model.workspace import PartIdentity, RegistryIdentity
from workspace_reaper.policy.marks import mark_of
from workspace_reaper.policy.registry_identity import (
    change_of_identity,
    identified,
    is_another,
    is_proven,
    known_in_generation,
    next_generation,
    recognise,
    replaced,
)

KNOWN = registry("w1", "w2", schema_version="schema version 7", change_counter=40)
THE_SAME = rows(row(1), row(2))


@pytest.mark.parametrize(
    ("now", "why"),
    [
        pytest.param(THE_SAME, None, id="the same"),
        pytest.param(replace(THE_SAME, total=9), None, id="more rows"),
        pytest.param(rows(row(2)), None, id="one of its oldest rows is left"),
        pytest.param(changed(THE_SAME, location="file 2"), "the database was file 1 and is file 2", id="another file"),
        pytest.param(changed(THE_SAME, schema="cao"), "its schema was standard and is cao", id="another schema"),
        pytest.param(rows(), None, id="emptied"),
        pytest.param(changed(THE_SAME, schema_version="schema version 7", change_counter=41), None, id="written to"),
        pytest.param(changed(THE_SAME, schema_version="schema version 7", change_counter=40), None, id="not written to"),
        pytest.param(changed(THE_SAME, change_counter=None), None, id="nothing is told of its content"),
        pytest.param(
            changed(THE_SAME, schema_version="schema version 8", change_counter=41),
            "its tables were changed, or its content was replaced as a whole (schema version 7, now schema version 8)",
            id="restored with SQLite's backup",
        ),
        pytest.param(
            changed(THE_SAME, schema_version="schema version 7", change_counter=39),
            "its count of changes went back: an older copy was put in its place",
            id="restored by a copy into the file",
        ),
        pytest.param(rows(row(8), sentinels_found=frozenset()), None, id="none of its oldest rows is left"),
    ],
)
def test_what_makes_it_another_registry(now: Any, why: str | None) -> None:
    assert change_of_identity(KNOWN, now) == why
    assert recognise(KNOWN, now).generation == (1 if why is None else 2)


def parted(*parts: PartIdentity) -> RegistryIdentity:
    return RegistryIdentity("/srv/*.db", "standard", parts=parts)


ONE, TWO = PartIdentity("/srv/1.db", "version 7", 40), PartIdentity("/srv/2.db", "version 3", 9)


@pytest.mark.parametrize(
    ("now", "why", "another"),
    [
        pytest.param(parted(TWO, ONE), None, False, id="the same"),
        pytest.param(parted(ONE, PartIdentity("/srv/0.db"), TWO), None, False, id="one more"),
        pytest.param(parted(TWO), "/srv/1.db is not one of its databases any more", True, id="one less"),
        pytest.param(parted(), "/srv/1.db is not one of its databases any more", True, id="none"),
        pytest.param(parted(ONE, replace(TWO, change_counter=10)), None, False, id="written to"),
        pytest.param(parted(ONE, replace(TWO, change_counter=None)), None, False, id="nothing is known of its content"),
        pytest.param(
            parted(replace(ONE, change_counter=90), replace(TWO, change_counter=8)),
            "its count of changes went back: an older copy was put in its place (/srv/2.db)",
            True,
            id="an older copy of one",
        ),
        pytest.param(
            parted(ONE, replace(TWO, schema_version="version 4")),
            "its tables were changed, or its content was replaced as a whole (version 3, now version 4) (/srv/2.db)",
            False,
            id="other tables in one",
        ),
    ],
)
def test_what_makes_several_databases_another_registry(now: RegistryIdentity, why: str | None, another: bool) -> None:
    before, after = replace(KNOWN, identity=parted(ONE, TWO)), replace(THE_SAME, identity=now)
    assert change_of_identity(before, after) == why
    assert is_another(before, after) is another


def test_a_database_that_vanished_was_not_replaced() -> None:
    assert replaced(parted(ONE, TWO), parted(TWO)) is None


@pytest.mark.parametrize(
    ("now", "another"),
    [
        pytest.param(THE_SAME, False, id="the same"),
        pytest.param(changed(THE_SAME, location="file 2"), True, id="another file"),
        pytest.param(changed(THE_SAME, schema="cao"), True, id="another schema"),
        pytest.param(changed(THE_SAME, schema_version="schema version 7", change_counter=39), True, id="an older copy"),
        pytest.param(
            changed(THE_SAME, schema_version="schema version 8", change_counter=41), False, id="its tables were changed"
        ),
    ],
)
def test_what_makes_it_certainly_another_registry(now: Any, another: bool) -> None:
    assert is_another(KNOWN, now) is another
    assert not is_another(RegistryState(OURS), now)


def test_the_first_read_is_no_change_and_begins_the_first_generation() -> None:
    unread = RegistryState(OURS)
    assert change_of_identity(unread, THE_SAME) is None
    assert recognise(unread, THE_SAME) == registry(*THE_SAME.identity.sentinels)


def test_a_look_before_the_first_full_sweep_remembers_which_registry_it_was() -> None:
    looked = identified(RegistryState(OURS), THE_SAME)
    assert (looked.generation, looked.identity) == (0, THE_SAME.identity)
    assert recognise(looked, THE_SAME).generation == 1
    elsewhere = changed(THE_SAME, location="file 2")
    assert is_another(looked, elsewhere)
    assert recognise(looked, elsewhere).generation == 2, "what was reported until then belongs to the first"
    assert identified(looked, elsewhere) == looked
    assert identified(KNOWN, elsewhere) == KNOWN


def test_a_doubt_before_the_first_read_ends_the_first_generation() -> None:
    doubted = replace(RegistryState(OURS), generation=next_generation(RegistryState(OURS)))
    assert change_of_identity(doubted, THE_SAME) is None
    assert recognise(doubted, THE_SAME).generation == 2


def test_an_empty_registry_that_fills_is_the_same() -> None:
    empty = recognise(RegistryState(OURS), rows())
    filled = changed(THE_SAME, sentinels_found=frozenset())
    assert change_of_identity(empty, filled) is None
    assert recognise(empty, filled) == registry("w1", "w2")


def test_what_is_remembered_is_the_latest_answer_and_the_stamp_stays() -> None:
    after = recognise(KNOWN, changed(THE_SAME, sentinels=("w2", "w3"), total=10_000, capped=True, change_counter=44))
    assert after == RegistryState(OURS, 1, RegistryIdentity("file 1", "standard", None, 44, ("w2", "w3")), 10_000, capped=True)


def test_a_registry_that_comes_back_has_to_prove_itself_anew() -> None:
    away = recognise(KNOWN, changed(rows(row(7)), location="file 2"))
    back = recognise(away, THE_SAME)
    assert (away.generation, back.generation) == (2, 3)


STRANGER = session()
OWN = session(owner=Owner.OURS)


@pytest.mark.parametrize(
    ("of", "known", "generation", "proven"),
    [
        pytest.param(STRANGER, {}, 1, False, id="a stranger"),
        pytest.param(STRANGER, {"seen": {"w1": 1}}, 1, True, id="recognised before"),
        pytest.param(STRANGER, {"seen": {"w2": 1}}, 1, False, id="another was recognised"),
        pytest.param(STRANGER, {"seen": {"w1": 1}}, 2, False, id="recognised by the registry before this one"),
        pytest.param(STRANGER, {"seen": {"w1": 2}}, 2, True, id="recognised by this one, the second"),
        pytest.param(STRANGER, {"named": {"w1": 1}}, 1, True, id="named by a hook"),
        pytest.param(STRANGER, {"named": {"w1": 1}}, 2, False, id="named by a hook under an older generation"),
        pytest.param(STRANGER, {"named": {"w2": 1}}, 1, False, id="another was named by a hook"),
        pytest.param(OWN, {}, 1, True, id="our stamp, while there was but one registry"),
        pytest.param(OWN, {}, 2, False, id="our stamp, of nobody knows which registry"),
        pytest.param(OWN, {}, 0, False, id="our stamp, and no registry was ever read"),
        pytest.param(session(owner=Owner.FOREIGN), {}, 1, False, id="another's marks"),
        pytest.param(replace(OWN, workspace_mark=mark_of("w2")), {}, 1, False, id="our marks, as another workspace"),
        pytest.param(replace(OWN, workspace_mark=""), {}, 1, False, id="our owner mark alone, as older versions set it"),
        pytest.param(replace(OWN, is_self_marked=False), {}, 1, False, id="our marks, copied from another session"),
    ],
)
def test_what_proves_that_the_registry_has_known_it(of: Any, known: dict[str, Any], generation: int, proven: bool) -> None:
    assert is_proven("w1", of, ledger_state(**known), generation) is proven


@pytest.mark.parametrize(
    ("known", "generation"),
    [
        pytest.param({}, None, id="never"),
        pytest.param({"seen": {"w1": 2, "w2": 9}}, 2, id="by its row"),
        pytest.param({"named": {"w1": 3}}, 3, id="by a hook"),
        pytest.param({"seen": {"w1": 2}, "named": {"w1": 1}}, 2, id="the later of both"),
    ],
)
def test_under_which_generation_it_was_known(known: dict[str, Any], generation: int | None) -> None:
    assert known_in_generation("w1", ledger_state(**known)) == generation
