"""The worker: one thread, coalesced wake-ups, later looks, drain, close, forks, interpreter exit."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from tests.tools.waiting import wait_until
from workspace_reaper import worker as worker_module
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.worker import Worker

ROOT = Path(__file__).parents[2]


class Recorder:
    """Work that writes down what it is asked, holds on while ``gate`` is closed, and says which rows do not agree yet."""

    def __init__(self) -> None:
        self.sweeps = 0
        self.looks: list[tuple[dict[str, WorkspaceEvent], set[str]]] = []
        self.ages: list[dict[str, float]] = []
        self.threads: set[int] = set()
        self.disagree: dict[str, int] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.raises = False
        self.leaves = False

    def sweep_all(self) -> None:
        self._enter()
        self.sweeps += 1

    def look_at(
        self, suspects: Mapping[str, WorkspaceEvent], final: Collection[str], ages: Mapping[str, float]
    ) -> Collection[str]:
        self._enter()
        self.ages.append(dict(ages))
        self.looks.append((dict(suspects), set(final)))
        unsettled = [one for one in suspects if self.disagree.get(one, 0) > 0]
        for one in unsettled:
            self.disagree[one] -= 1
        return unsettled

    def _enter(self) -> None:
        self.threads.add(threading.get_ident())
        self.entered.set()
        assert self.gate.wait(20)
        if self.leaves:
            sys.exit(3)
        if self.raises:
            raise RuntimeError("broken")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def worker(recorder: Recorder) -> Iterator[Worker]:
    made = Worker(recorder.sweep_all, recorder.look_at)
    yield made
    recorder.gate.set()
    made.close()


def test_no_thread_before_the_first_wake_up(worker: Worker) -> None:
    assert "workspace-reaper" not in {thread.name for thread in threading.enumerate()}
    assert worker.drain(0)


def test_whose_row_vanished_as_by_a_restore_is_known_while_another_sweep_runs(worker: Worker, recorder: Recorder) -> None:
    recorder.gate.clear()
    worker.wake()
    assert recorder.entered.wait(20)
    worker.suspect("a", WorkspaceEvent.DOUBTED)
    worker.suspect("b", WorkspaceEvent.VANISHED)
    assert worker.doubted() == {"a"}
    recorder.entered.clear()
    recorder.gate.set()
    assert worker.drain(20)
    assert worker.doubted() == frozenset()
    # Its own look may have to wait for the sweep of another thread before it can record the doubt.
    recorder.gate.clear()
    recorder.entered.clear()
    worker.suspect("a", WorkspaceEvent.DOUBTED)
    assert recorder.entered.wait(20)
    assert worker.doubted() == {"a"}


def test_how_long_ago_a_hook_named_it_is_counted_also_while_the_thread_is_busy(
    worker: Worker, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LOOKS", (0.0, 0.05))
    recorder.gate.clear()
    worker.wake()
    assert recorder.entered.wait(20)
    worker.suspect("a", WorkspaceEvent.DELETED)
    named = time.monotonic()
    recorder.disagree["a"] = 1
    wait_until(lambda: time.monotonic() >= named + 0.1)
    recorder.gate.set()
    assert worker.drain(20)
    first, second = recorder.ages
    assert 0.1 <= first["a"] < second["a"]


@pytest.mark.parametrize(
    ("then", "is_renewed"),
    [(WorkspaceEvent.ARCHIVED, False), (WorkspaceEvent.REMOVED, True), (WorkspaceEvent.DELETED, True)],
)
def test_i98_a_weaker_event_makes_no_news_of_the_one_before(
    worker: Worker, recorder: Recorder, then: WorkspaceEvent, is_renewed: bool
) -> None:
    """Another database may have been put in place between the two."""
    recorder.gate.clear()
    worker.wake()
    assert recorder.entered.wait(20)
    worker.suspect("a", WorkspaceEvent.REMOVED)
    reported_at = worker._suspects["a"].reported_at
    worker.suspect("a", then)
    assert (worker._suspects["a"].reported_at > reported_at) is is_renewed


def test_i83_the_looks_at_a_directory_are_less_than_ten_seconds_apart() -> None:
    looks = worker_module.LOOKS_AT_DIRECTORY
    assert max(later - earlier for earlier, later in pairwise(looks)) < 10
    assert looks[-1] == 300


def test_everything_runs_on_one_thread_that_is_not_the_callers(worker: Worker, recorder: Recorder) -> None:
    worker.wake()
    worker.suspect("a", WorkspaceEvent.DELETED)
    assert worker.drain(20)
    worker.wake()
    assert worker.drain(20)
    assert recorder.threads.isdisjoint({threading.get_ident()})
    assert len(recorder.threads) == 1


def test_equal_wake_ups_coalesce(worker: Worker, recorder: Recorder) -> None:
    recorder.gate.clear()
    worker.wake()
    assert recorder.entered.wait(20)
    for _ in range(50):
        worker.wake()
        worker.suspect("a", WorkspaceEvent.ARCHIVED)
        worker.suspect("b", WorkspaceEvent.DELETED)
    recorder.gate.set()
    assert worker.drain(20)
    assert recorder.sweeps == 2
    assert recorder.looks == [({"a": WorkspaceEvent.ARCHIVED, "b": WorkspaceEvent.DELETED}, set())]


@pytest.mark.parametrize(
    "order", [(WorkspaceEvent.ARCHIVED, WorkspaceEvent.DELETED), (WorkspaceEvent.DELETED, WorkspaceEvent.ARCHIVED)]
)
def test_deleted_outweighs_archived(worker: Worker, recorder: Recorder, order: tuple[WorkspaceEvent, WorkspaceEvent]) -> None:
    recorder.gate.clear()
    worker.wake()
    assert recorder.entered.wait(20)
    for reported in order:
        worker.suspect("a", reported)
    recorder.gate.set()
    assert worker.drain(20)
    assert recorder.looks[0][0] == {"a": WorkspaceEvent.DELETED}


def test_a_row_that_does_not_agree_is_looked_at_again_until_the_last_look(
    worker: Worker, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LOOKS", (0.0, 0.01, 0.02, 0.03))
    recorder.disagree = {"never": 99, "soon": 2}
    worker.suspect("never", WorkspaceEvent.DELETED)
    worker.suspect("soon", WorkspaceEvent.DELETED)
    assert worker.drain(20)
    seen = [name for suspects, _ in recorder.looks for name in suspects]
    assert (seen.count("never"), seen.count("soon")) == (4, 3)
    assert [final for _, final in recorder.looks if final] == [{"never"}]


def test_drain_waits_for_the_later_looks(worker: Worker, recorder: Recorder) -> None:
    recorder.disagree = {"a": 1}
    worker.suspect("a", WorkspaceEvent.DELETED)
    assert worker.drain(20)
    assert len(recorder.looks) == 2


def test_drain_tells_that_time_ran_out(worker: Worker, recorder: Recorder) -> None:
    recorder.gate.clear()
    worker.wake()
    assert recorder.entered.wait(20)
    assert not worker.drain(0.01)
    recorder.gate.set()
    assert worker.drain(20)


def test_drain_does_not_wait_for_what_comes_after_it(worker: Worker, recorder: Recorder) -> None:
    drained: list[bool] = []
    recorder.gate.clear()
    worker.suspect("a", WorkspaceEvent.DELETED)
    assert recorder.entered.wait(20)
    waiting = threading.Thread(target=lambda: drained.append(worker.drain(20)))
    waiting.start()
    wait_until(lambda: worker._changed._waiters)  # type: ignore[attr-defined]
    recorder.disagree = {"b": 99}
    worker.suspect("b", WorkspaceEvent.DELETED)
    recorder.gate.set()
    waiting.join(20)
    assert drained == [True]


def test_a_new_word_of_a_hook_starts_the_looks_anew(
    worker: Worker, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LOOKS", (0.0, 0.01, 0.02, 0.03))
    recorder.disagree = {"a": 99}
    recorder.gate.clear()
    worker.suspect("a", WorkspaceEvent.DELETED)
    assert recorder.entered.wait(20)
    worker.suspect("a", WorkspaceEvent.DELETED)
    recorder.gate.set()
    assert worker.drain(20)
    assert len(recorder.looks) == 5


def test_work_that_raises_does_not_end_the_thread(worker: Worker, recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    recorder.raises = True
    worker.wake()
    worker.suspect("a", WorkspaceEvent.DELETED)
    assert worker.drain(20)
    recorder.raises = False
    worker.wake()
    assert worker.drain(20)
    assert recorder.sweeps == 1
    assert "the next tick tries again" in caplog.text


def test_work_that_calls_exit_does_not_end_the_thread(worker: Worker, recorder: Recorder) -> None:
    recorder.leaves = True
    worker.wake()
    assert worker.drain(20)
    recorder.leaves = False
    worker.wake()
    assert worker.drain(20)
    assert (recorder.sweeps, len(recorder.threads)) == (1, 1)


def test_too_many_suspects_become_a_full_sweep(
    worker: Worker, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker_module, "MOST_SUSPECTS", 2)
    recorder.gate.clear()
    worker.suspect("first", WorkspaceEvent.DELETED)
    assert recorder.entered.wait(20)
    for name in "abcde":
        worker.suspect(name, WorkspaceEvent.DELETED)
    recorder.gate.set()
    assert worker.drain(20)
    assert recorder.sweeps == 1
    assert set(recorder.looks[1][0]) == {"a", "b"}
    assert caplog.text.count("the next full sweep looks at all others") == 1


def test_close_finishes_the_step_and_starts_nothing_more(recorder: Recorder) -> None:
    worker = Worker(recorder.sweep_all, recorder.look_at)
    recorder.gate.clear()
    worker.wake()
    assert recorder.entered.wait(20)
    worker.suspect("a", WorkspaceEvent.DELETED)
    closing = threading.Thread(target=worker.close)
    closing.start()
    wait_until(worker.is_stopping)
    recorder.gate.set()
    closing.join(20)
    worker.wake()
    assert (recorder.sweeps, recorder.looks) == (1, [])
    assert not worker.drain(0.01)
    assert "workspace-reaper" not in {thread.name for thread in threading.enumerate()}


def test_what_is_forgotten_is_looked_at_no_more(worker: Worker, recorder: Recorder) -> None:
    recorder.gate.clear()
    recorder.disagree = {"a": 1}
    worker.suspect("a", WorkspaceEvent.DELETED)
    assert recorder.entered.wait(20)
    worker.suspect("b", WorkspaceEvent.DELETED)
    assert not worker.has_forgotten()
    worker.forget()
    assert worker.has_forgotten()
    worker.suspect("c", WorkspaceEvent.DELETED)
    recorder.gate.set()
    assert worker.drain(20)
    assert [sorted(suspects) for suspects, _ in recorder.looks] == [["a"], ["c"]]
    assert not worker.has_forgotten()


def test_it_tells_since_when_it_works(worker: Worker, recorder: Recorder) -> None:
    assert worker.busy_since is None
    recorder.gate.clear()
    worker.wake()
    assert recorder.entered.wait(20)
    begun = worker.busy_since
    assert begun is not None
    worker.suspect("a", WorkspaceEvent.DELETED)
    assert worker.busy_since == begun
    recorder.gate.set()
    assert worker.drain(20)
    wait_until(lambda: worker.busy_since is None)


def test_close_waits_no_longer_than_it_may(worker: Worker, recorder: Recorder) -> None:
    recorder.gate.clear()
    worker.wake()
    assert recorder.entered.wait(20)
    worker.close(0.05)
    worker.close()
    assert "workspace-reaper" in {thread.name for thread in threading.enumerate()}
    assert recorder.sweeps == 0


def test_close_before_anything_and_twice(recorder: Recorder) -> None:
    worker = Worker(recorder.sweep_all, recorder.look_at)
    worker.close()
    worker.close()
    worker.wake()
    assert recorder.sweeps == 0


EXHAUSTED = """
import resource
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.worker import Worker

class Work:
    sweeps = 0
    def sweep_all(self): self.sweeps += 1
    def look_at(self, suspects, final): return ()

work = Work()
worker = Worker(work.sweep_all, work.look_at)
limits = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (1, limits[1]))  # no memory for the stack of one more thread
worker.wake()
resource.setrlimit(resource.RLIMIT_AS, limits)
assert work.sweeps == 0
worker.wake()
assert worker.drain(20)
assert work.sweeps == 1, work.sweeps
worker.close()
"""

FORKING = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.worker import Worker

class Work:
    sweeps = 0
    def sweep_all(self): self.sweeps += 1
    def look_at(self, suspects, final): return ()

work = Work()
worker = Worker(work.sweep_all, work.look_at)
worker.wake()
assert worker.drain(20)
child = os.fork()
worker.wake()
assert worker.drain(20)
assert work.sweeps == 2, work.sweeps
if child == 0:
    os._exit(0)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""

EXITING = """
from workspace_reaper.worker import Worker

class Work:
    def sweep_all(self): print("swept", flush=True)
    def look_at(self, suspects, final): return suspects

work = Work()
worker = Worker(work.sweep_all, work.look_at)
worker.wake()
assert worker.drain(20)
from workspace_reaper.model.events import WorkspaceEvent
worker.suspect("a", WorkspaceEvent.DELETED)  # its later looks are due in seconds
"""


def test_a_thread_that_can_not_be_started_is_tried_again_at_the_next_wake_up() -> None:
    """A machine that leaks processes runs out of threads first of all."""
    done = subprocess.run([sys.executable, "-c", EXHAUSTED], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "cannot start its thread, so nothing is reaped" in done.stderr


@pytest.mark.parametrize("script", [pytest.param(FORKING, id="after a fork"), pytest.param(EXITING, id="at exit")])
def test_in_a_process_of_its_own(script: str) -> None:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
