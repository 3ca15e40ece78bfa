"""What may happen in a history, with its weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.simulation.plan import APPROVE, HOUR, LOOK_ARCHIVED, LOOK_DELETED, RESET, SWEEP

# How often the reaper is run in each way.
SWEEPS = (SWEEP, APPROVE, RESET), (92, 6, 2)

# Each wait passes one limit of the configuration, or falls short of it.
WAITS = (1.0, 5.0, 25.0, 31.0, 61.0, 125.0, 610.0, 1810.0, 12.1 * HOUR, 24.1 * HOUR, 48.1 * HOUR)

# How a session becomes due: events, and how long it must rest afterwards.
CAUSES: Sequence[tuple[int, Sequence[str], Sequence[float]]] = (
    (8, ("delete",), (61.0, 125.0)),
    (6, ("delete", LOOK_DELETED), (1.0,)),
    (6, ("delete with directory",), (1.0, 31.0, 61.0)),
    (6, ("archive",), (61.0, 125.0, 24.1 * HOUR)),
    (6, ("archive", LOOK_ARCHIVED), (1.0,)),
    (2, ("archive", LOOK_ARCHIVED, "start again"), (1.0, 61.0)),
    (4, ("delete worktree",), (61.0, 125.0)),
    (4, (), (48.1 * HOUR,)),
    (5, ("exit",), (61.0, 610.0, 1810.0)),
    (3, ("new without row",), (12.1 * HOUR,)),
    (2, ("flag deleted",), (61.0,)),
    (2, ("restore",), (61.0, 125.0, 12.1 * HOUR)),
    (2, ("new without row", "insert newest", SWEEP, "restore in place"), (61.0, 125.0, 12.1 * HOUR)),
    (1, ("swap database",), (61.0, 12.1 * HOUR)),
    (1, ("unmount",), (61.0, 125.0)),
    (1, ("exit", "unmount", "delete"), (61.0, 125.0)),
    # What a hook says is not true.
    (1, (LOOK_DELETED,), (1.0, 31.0)),
    (1, (LOOK_ARCHIVED,), (1.0, 31.0)),
    # Two at once, of which one may go.
    (3, ("archive", "exit"), (610.0, 1810.0)),
    (3, ("delete most",), (61.0, 125.0)),
    (1, ("delete all",), (61.0, 125.0)),
    # Two sessions of one workspace in a group, of which one may not go.
    (1, ("view in group", "detach", "archive", "veto"), (125.0, 24.1 * HOUR)),
    # Idle time that is no idle time.
    (2, ("work for a day", SWEEP), (24.1 * HOUR,)),
    (2, ("archive", "step clock ahead"), (1.0, 31.0)),
)

# What may save a session, or ruin a decision, with its weight.
MEETINGS: Sequence[tuple[int, str]] = (
    (6, "attach"),
    (3, "type"),
    (4, "print"),
    (3, "compute"),
    (2, "starve"),
    (4, "keep"),
    (4, "insert"),
    (1, "insert all"),
    (6, "unarchive"),
    (4, "run"),
    (2, "pin"),
    (3, "rename away"),
    (3, "rename to next"),
    (4, "view in group"),
    (2, "exit"),
    (4, "respawn"),
    (2, "end"),
    (2, "end server"),
    (1, "swap database"),
    (1, "lock database"),
    (1, "unreadable row"),
    (2, "inherit keep"),
    (1, "mark as another's"),
    (2, "move directory"),
    (2, "make directory"),
    (1, "remove directory"),
    (1, "delete"),
    (1, "delete with directory"),
    (1, "recycle"),
    (2, "escape"),
    (1, "escape cleaned"),
    (1, "escape stopped"),
    (3, "start again"),
    (2, "depend"),
    (1, "supervise"),
    (1, "nest tmux"),
    (1, "stop"),
    (1, "hide"),
    (1, "inherit owner"),
    (1, "be needed"),
    (1, "copy marks"),
    (1, "mute"),
    (1, "unlink socket"),
    (2, "veto"),
    (1, "silence plugins"),
    (1, "fill disk"),
    (2, "step clock back"),
    (2, "step clock ahead"),
    (2, "sleep"),
)

# How long the machine sleeps, and by how much the clock is set: also by so little that this may go unnoticed.
AMOUNTS: Mapping[str, Sequence[float]] = {
    "sleep": (4.0, 70.0, 1.1 * HOUR, 13.0 * HOUR, 49.0 * HOUR),
    "step clock back": (4.0, 3600.0, 3600.0),
    "step clock ahead": (4.0, 3600.0, 3600.0, 49.0 * HOUR),
}

# What ends a protection again, so that sessions do not stay for good.
RELEASES = (
    "detach",
    "unkeep",
    "rest",
    "unpin",
    "unmute",
    "link socket",
    "unlock database",
    "allow",
    "uninherit keep",
    "uninherit owner",
    "show",
    "free disk",
    "work ends",
)

# What may change between a crash and the next sweep.
AFTER_A_CRASH = ("delete", "insert", "unarchive", "run", "new without row", "unreadable row")

# What happens to the reaper itself, or to an answer.
FAULTS: Sequence[tuple[int, str]] = (
    (4, "crash"),
    (4, "freeze"),
    (3, "lose answer"),
    (2, "no answer"),
    (2, "refuse"),
    (2, "cut answer"),
)

# The calls of a sweep, with the weight of an interruption there. The second listing is the one of the recheck.
POINTS: Sequence[tuple[int, str, Sequence[int]]] = (
    (14, "terminal.kill", (1, 1, 1, 2)),
    (4, "terminal.observe", (1, 2, 2, 3)),
    (4, "registry.look_up", (1, 2, 2, 3)),
    (2, "ledger.record_intents", (1,)),
    (2, "ledger.record_results", (1,)),
    (2, "ledger.save", (1, 2)),
    (3, "processes.signal", (1, 2, 3)),
    (2, "processes.table", (1, 2)),
    (1, "terminal.own_options", (1,)),
    (1, "terminal.mark", (1,)),
    (1, "snapshots.take", (1,)),
    (1, "directories.look", (1, 2)),
)

# An answer is lost, withheld or refused only where the port can say so.
SILENT = frozenset({"terminal.kill", "terminal.observe", "registry.look_up", "processes.table"})
REFUSING = frozenset({"ledger.record_intents", "ledger.record_results", "ledger.save"})


# What leaves processes behind that outlive their session.
ESCAPES = (
    ("escape", 0.15),
    ("depend", 0.15),
    ("supervise", 0.15),
    ("nest tmux", 0.15),
    ("stop", 0.15),
    ("escape cleaned", 0.05),
    ("escape stopped", 0.05),
)

ANSWERS = frozenset({"lose answer", "no answer", "cut answer"})
