"""The errors of the reaper: one base class, and a subclass for each thing that an operator can do about it."""

from __future__ import annotations


class ReaperError(Exception):
    """Base class of all errors of this package. Its text is a sentence for display."""


class ConfigurationError(ReaperError):
    """A setting is missing or invalid. The text names the setting, its source, and what to write instead."""


class UnsupportedTmux(ConfigurationError):
    """The tmux on PATH is too old. The text names its version and the oldest supported one."""


class NoSuchHost(ConfigurationError):
    """No host of the configuration has that name, or none was named where there are several. The text lists them."""


class LedgerError(ReaperError):
    """The reaper's own database cannot be read or written. Nothing is reaped until it can."""


class SweepLocked(ReaperError):
    """Another reaper with the same ``state_dir`` holds the sweep lock. Wait for it, or find out what it does."""


class AlreadyRunning(ReaperError):
    """A daemon with the same ``state_dir`` runs. Stop it, or set a different ``state_dir``."""


class NoSuchSession(ReaperError):
    """No session on the configured sockets has that name or id."""


class AmbiguousSession(ReaperError):
    """Sessions on several sockets have that name. Select one with ``--socket``."""


class UnreadableSocket(ReaperError):
    """A socket cannot be read, so it is unknown whether the session exists. The text says why."""


class NoSuchReap(ReaperError):
    """No reap has that id, or several begin with it. The text lists candidates."""


class CannotRestore(ReaperError):
    """A reaped session cannot be restored, and nothing was created. The text says why and what to do."""


class SnapshotError(ReaperError):
    """A snapshot is missing or damaged. The text says which one and why."""
