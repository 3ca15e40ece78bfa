"""What holds for processes and mounts of which the rest of the machine must know nothing: real ones in a namespace of their
own, and those of the simulation.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

from workspace_reaper.model.directory import DirectoryRecord
from workspace_reaper.model.machine_ports import Directories, Processes
from workspace_reaper.model.process import ProcessKey, ProcessTable, SignalResult
from workspace_reaper.policy.witness import Surroundings, ask

__all__ = ["hidden_process_lives", "mounted_disk_may_be_missing", "process_of_another_user", "recycled_pid_is_another_process"]


def _table(processes: Processes) -> ProcessTable:
    table = processes.table()
    assert isinstance(table, ProcessTable), table
    return table


def hidden_process_lives(
    processes: Processes, directories: Directories, own: int, key: ProcessKey, end: Callable[[], object]
) -> None:
    """A process that the table hides from this user (``hidepid``), and the kernel knows."""
    assert directories.workplaces([key.pid]) == {}
    assert key.pid not in _table(processes).processes
    assert own in _table(processes).processes
    assert processes.start_time(key.pid) is None
    assert processes.living([key]) == {key}
    assert processes.may_live(key.pid, key.started - 1)
    assert not processes.details([key])
    assert not processes.scheduling([key])
    assert not processes.needed([key])
    assert processes.working_directory(key) is None
    assert not processes.is_inside(key, "/usr")
    assert processes.signal(key, signal.SIGTERM) is SignalResult.REFUSED
    end()
    assert not processes.living([key])


def process_of_another_user(processes: Processes, directories: Directories, key: ProcessKey) -> None:
    """A process whose environment, files and directory this user may not read. It carries an origin and works in ``/usr``."""
    assert directories.workplaces([key.pid]) == {key.pid: None}
    row = _table(processes).processes[key.pid]
    assert row.key == key
    assert row.origin is None
    assert processes.start_time(key.pid) == key.started
    assert processes.details([key])[key].uids
    assert not processes.details([key])[key].ports
    assert not processes.is_inside(key, "/usr")
    assert processes.working_directory(key) is None
    assert processes.signal(key, signal.SIGTERM) is SignalResult.REFUSED
    assert processes.signal(key._replace(started=0.0), signal.SIGTERM) is SignalResult.GONE
    assert processes.living([key]) == {key}


def recycled_pid_is_another_process(processes: Processes, before: ProcessKey, now: ProcessKey) -> None:
    """The process ``before`` worked in ``/usr`` and has ended, and ``now`` has its pid."""
    assert before.pid == now.pid
    assert _table(processes).processes[now.pid].key == now != before
    assert processes.signal(before, signal.SIGKILL) is SignalResult.GONE
    assert not processes.living([before])
    assert not processes.may_live(*before)
    assert not processes.details([before])
    assert not processes.scheduling([before])
    assert not processes.is_inside(before, "/usr")
    assert processes.working_directory(before) is None
    assert processes.living([now]) == {now}
    assert processes.signal(now, signal.SIGKILL) is SignalResult.SENT


def mounted_disk_may_be_missing(
    directories: Directories,
    disk: str,
    *,
    mount: Callable[[], object],
    unmount: Callable[[], object],
    make: Callable[[str], object],
    remove: Callable[[str], object],
    alone: bool,
) -> None:
    """A directory below the root of a tmpfs, ``alone`` or with another beside it."""
    tree, around = f"{disk}/one", Surroundings(1, (), (), ())
    mount()
    make(tree)
    if not alone:
        make(f"{disk}/two")
    found = directories.find([tree])[tree]
    assert found is not None
    assert (found.is_below_mount, found.neighbours) == (True, () if alone else ("two",))
    record = DirectoryRecord("w1", 1, found, 1.0, 1, 1)

    def says() -> tuple[str, str | None]:
        witness = ask(record, directories.look([found])[found], around, ())
        return witness.presence.value, witness.why

    assert says()[0] == "there"
    remove(tree)
    assert says()[0] == ("unknown" if alone else "gone")
    unmount()
    for _ in range(2):
        presence, why = says()
        assert presence == "unknown"
        assert "a disk may be missing" in str(why)
        mount()
