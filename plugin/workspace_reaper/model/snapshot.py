"""What is kept of a session before it is reaped: plain, frozen values. The scrollback lies beside them, in files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from workspace_reaper.model.session import SessionKey

__all__ = [
    "CaptureFailure",
    "CapturedPane",
    "CapturedSession",
    "PaneSnapshot",
    "SessionSnapshot",
    "SnapshotOrder",
    "WindowSnapshot",
]


@dataclass(frozen=True, slots=True)
class PaneSnapshot:
    """A pane. ``directory`` is its working directory, None where tmux tells none; ``argv`` what ran in its foreground
    (the shell itself, if nothing else did), empty where that can't be told. ``width`` and ``height`` are in cells. ``lines`` is
    how many lines of scrollback and screen were kept, ``cut`` that older ones were left out."""

    pane_id: str
    index: int
    active: bool
    dead: bool
    title: str
    directory: str | None
    argv: tuple[str, ...]
    width: int
    height: int
    lines: int
    cut: bool


@dataclass(frozen=True, slots=True)
class WindowSnapshot:
    """A window. ``layout`` is tmux's own text (``#{window_layout}``)."""

    window_id: str
    index: int
    name: str
    active: bool
    layout: str
    panes: tuple[PaneSnapshot, ...]


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """A session as it was right before its kill. Times are Unix seconds. Environments are never kept."""

    reap_id: str
    taken_at: float
    key: SessionKey
    session: str
    workspace_id: str
    activity: int
    version: str
    width: int
    height: int
    windows: tuple[WindowSnapshot, ...]


@dataclass(frozen=True, slots=True)
class SnapshotOrder:
    """One session to be kept under the id of its reap. ``commands`` are the command lines that run in its panes, by pane id, as
    far as the process table tells."""

    reap_id: str
    key: SessionKey
    session: str
    workspace_id: str
    activity: int
    version: str
    commands: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class CapturedPane:
    """What stands in a pane, in chunks of bytes: whole lines with their escape sequences for colours, the last ``height`` of
    them the screen. Readable only until the next thing is asked for."""

    key: SessionKey
    pane_id: str
    content: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class CapturedSession:
    """All panes of that session have come. ``argv`` is empty in each: tmux does not tell it. ``width`` and ``height`` are the
    active window's, in cells."""

    key: SessionKey
    width: int
    height: int
    windows: tuple[WindowSnapshot, ...]


@dataclass(frozen=True, slots=True)
class CaptureFailure:
    """The session's panes could not be had, in a sentence for a person; what came of them before is worth nothing."""

    key: SessionKey
    why: str
