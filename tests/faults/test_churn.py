"""Sessions come and go without a rest beside the daemon, and its tmux errs: it takes no more after an hour than at first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import psutil
import pytest

from tests.tools.churn import Churn, Samples, errors, growth, plot
from tests.tools.daemons import PATIENCE, Daemon
from tests.tools.effort import effort
from tests.tools.storm_tmux import PlannedTmux
from tests.tools.waiting import wait_until
from tests.tools.world import World
from workspace_reaper.operations.status import read_history, read_status

SECONDS = effort(60.0, 3600.0)
EVERY = effort(0.5, 5.0)


@pytest.mark.storm
@pytest.mark.timeout(SECONDS + 300)
def test_it_takes_no_more_in_the_end_than_at_first_and_all_that_should_go_is_gone(worlds: Callable[..., World]) -> None:
    world = worlds(tick=1, kill_grace=0.2, max_orphans_per_hour=1_000_000, snapshot_bytes=1 << 20)
    churn = Churn(world, Random(0))
    front = PlannedTmux(world.tmp / "front")
    plan, cycle = errors(Random(1), world.server.path)
    front.plan(plan, cycle=cycle)
    with Daemon(world, PATH=front.path()) as daemon:
        samples = Samples(psutil.Process(daemon.process.pid))
        churn.run(SECONDS, samples.take, every=EVERY)
        print(f"{churn.made} sessions in {SECONDS:g} s\n{samples.plots()}")
        front.plan({})
        over(churn, world)
        assert daemon.stop() == 0

    flat(samples)
    outcomes = Counter(reap.outcome for reap in read_history(world.plugin.reaper(), 100_000))
    assert (outcomes["reaped"], outcomes["open"]) == (churn.ended, 0)


def over(churn: Churn, world: World) -> None:
    """The faults are: all that should be gone is gone, nothing else, and no alarm is left."""
    try:
        wait_until(churn.gone, PATIENCE, every=0.1)
        wait_until(lambda: not read_status(world.plugin.reaper()).alarms, PATIENCE, every=0.1)
    except AssertionError as error:
        raise AssertionError(f"{error}: {read_status(world.plugin.reaper()).alarms}") from error
    assert churn.living() == churn.there()


def flat(samples: Samples) -> None:
    """Medians: a sweep has threads and pipes for a moment. The history of a day is a part of what a sweep reads."""
    for values, share, more in ((samples.memory, 0.1, 4 << 20), (samples.threads, 0.0, 1), (samples.files, 0.0, 2)):
        first, last = growth(values)
        assert last <= first * (1 + share) + more, samples.plots()


def test_a_plot_is_a_line_between_the_least_and_the_most() -> None:
    assert plot("MB", [1, 1, 2, 3]) == "      MB      1.0 ▁▁▄█ 3.0"
    assert plot("threads", [4] * 100, width=3) == " threads      4.0 ▁▁▁ 4.0"


def test_growth_is_seen_and_a_peak_is_not() -> None:
    assert growth([9, 9, 9, 1, 1, 1, 1, 1, 1, 50, 1, 1]) == (1, 1)
    first, last = growth(list(range(100)))
    assert last > first + 20
