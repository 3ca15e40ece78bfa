"""The errors of the reaper: one base, and a subclass for each thing that an operator can do about it."""

from __future__ import annotations

__all__ = [
    "AlreadyRunning",
    "AmbiguousSession",
    "CannotRestore",
    "ConfigurationError",
    "LedgerError",
    "NoSuchReap",
    "NoSuchSession",
    "ReaperError",
    "SnapshotError",
    "SweepLocked",
    "UnreadableSocket",
    "UnsupportedTmux",
]


class ReaperError(Exception):
    """Base of all errors of this package. Its text is a sentence for a person."""


class ConfigurationError(ReaperError):
    """A setting is missing or wrong: the text names the field, the place it came from, and what to write instead."""


class UnsupportedTmux(ConfigurationError):
    """The tmux on PATH is too old: the text says which it is, and which is needed."""


class LedgerError(ReaperError):
    """Our own database cannot be read or written: nothing is reaped until it can."""


class SweepLocked(ReaperError):
    """Another reaper with the same ``state_dir`` holds the sweep lock: wait for it, or look at what it does."""


class AlreadyRunning(ReaperError):
    """A host daemon with the same ``state_dir`` runs: the text says which. Stop it, or give this one a directory of its own."""


class NoSuchSession(ReaperError):
    """No session of that name, or with that id, is on the configured sockets."""


class AmbiguousSession(ReaperError):
    """Sessions on several sockets have that name: say which with ``--socket``."""


class UnreadableSocket(ReaperError):
    """A socket can't be read, so that nobody can say whether the session is there: the text says why."""


class NoSuchReap(ReaperError):
    """No reap has that id, or several begin with it: the text lists candidates."""


class CannotRestore(ReaperError):
    """A reaped session can't be brought back, and nothing of it was: the text says why, and what to do."""


class SnapshotError(ReaperError):
    """What was kept of a reaped session is not there, or damaged: the text says which, and why."""
