"""The breaker as the truth has it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import pytest

from tests.simulation.oracle import BreakerTruth, Count, advance
from tests.simulation.oracle.truth import Limits


def count(orphans: str = "", managed: int = 8, lost: int = 0, before: int = 8) -> Count:
    return Count(frozenset(orphans), managed, before, lost)


@pytest.mark.parametrize(
    ("counts", "latched"),
    [
        pytest.param([count("ab", 2)], False, id="two of two"),
        pytest.param([count("abc", 3)], True, id="three of three"),
        pytest.param([count("abc", 5)], True, id="three of five"),
        pytest.param([count("abc", 6)], False, id="three of six"),
        pytest.param([count(lost=2, before=2)], False, id="two rows of two"),
        pytest.param([count(lost=3, before=5)], True, id="three rows of five"),
        pytest.param([count(lost=3, before=6)], False, id="three rows of six"),
        pytest.param([count("abc", 5), count(), count()], True, id="two clean sweeps"),
        pytest.param([count("abc", 5), count(), count(), count()], False, id="three clean sweeps"),
        pytest.param([count("abc", 5), count(), count(), count("a"), count(), count()], True, id="not in a row"),
        pytest.param([count("abc", 5), count("d"), count("d"), count("d")], False, id="another orphan does not hold it"),
        pytest.param([count("abc", 5), *[count("a")] * 99], True, id="it never expires"),
        pytest.param([count("abc", 5), count("def", 5), *[count("a")] * 3], True, id="the first ones hold it still"),
    ],
)
def test_it_latches_and_is_released_by_three_clean_sweeps(counts: Sequence[Count], latched: bool) -> None:
    assert reduce(lambda breaker, each: advance(breaker, each, Limits()), counts, BreakerTruth()).latched is latched
