"""A tmux, a registry or a ledger that errs by a seed: nothing protected dies, every fault is told, and once it is over what
should go goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.tools.effort import seeds
from tests.tools.storm import Storm
from tests.tools.storm_disk import StormsOnDisk
from tests.tools.storm_stage import Stage, theatre_of

pytestmark = pytest.mark.storm

SEEDS = seeds(300, 10_000)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage.built(tmp_path_factory.mktemp("storm")) as made:
        yield made


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], None]]:
    """Runs a storm where there is a small disk, which is made at the first one."""
    with ExitStack() as stack:
        made: list[StormsOnDisk] = []

        def run(seed: int) -> None:
            if not made:
                made.append(stack.enter_context(StormsOnDisk(tmp_path_factory.mktemp("storm") / "disk")))
            made[0].run(seed)

        yield run


@pytest.mark.parametrize("seed", SEEDS, ids=[f"seed{seed}" for seed in SEEDS])
def test_nothing_protected_dies_every_fault_is_told_and_all_condemned_go_in_the_end(
    stage: Stage, on_disk: Callable[[int], None], seed: int
) -> None:
    if theatre_of(seed).startswith("ledger"):
        on_disk(seed)
    else:
        Storm(stage, seed).run()
