"""The runner of the histories builds values that are not checked: they are the same values."""

from __future__ import annotations

import dataclasses

from tests.simulation.unfrozen import unfrozen


def test_unfrozen_values_compare_and_hash_like_frozen_ones() -> None:
    with unfrozen():

        @dataclasses.dataclass(frozen=True, slots=True)
        class Value:
            number: int
            name: str = "a"

        @dataclasses.dataclass(frozen=True, eq=False)
        class Thing:
            number: int

    assert Value(1) == Value(1, "a") != Value(2)
    assert {Value(1): "one"}[Value(1)] == "one"
    assert Thing(1) != Thing(1)
    assert not hasattr(Value(1), "__dict__")


def test_dataclasses_are_frozen_again_afterwards() -> None:
    before = dataclasses.dataclass
    with unfrozen():
        assert dataclasses.dataclass is not before
    assert dataclasses.dataclass is before
