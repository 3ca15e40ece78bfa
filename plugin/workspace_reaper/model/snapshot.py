"""What is saved of a session before it is reaped: plain, frozen values. The scrollback is in separate files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from workspace_reaper.model.session import SessionKey


@dataclass(frozen=True, slots=True)
class PaneSnapshot:
    """A pane.

    ``directory`` is its working directory, or None if tmux reports none. ``argv`` is the command in its foreground (the shell
    itself, if no other runs), and empty if that is unknown. ``width`` and ``height`` are in cells. ``lines`` is the number of
    saved lines of scrollback and screen; ``cut`` says that older lines were left out.
    """

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
    """A window. ``layout`` is ``#{window_layout}`` of tmux."""

    window_id: str
    index: int
    name: str
    active: bool
    layout: str
    panes: tuple[PaneSnapshot, ...]


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """A session right before its kill. Times are Unix seconds. Environments are never saved."""

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
    """A session to save under the id of its reap. ``commands`` are the command lines in its panes by pane id, if known."""

    reap_id: str
    key: SessionKey
    session: str
    workspace_id: str
    activity: int
    version: str
    commands: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class CapturedPane:
    """The content of a pane in chunks of bytes: whole lines with escape sequences for colours.

    The last ``height`` lines are the screen. It can be read only until the next item is requested.
    """

    key: SessionKey
    pane_id: str
    content: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class CapturedSession:
    """The end of a session's panes.

    ``argv`` is empty in each pane, because tmux does not report it. ``width`` and ``height`` are those of the active window, in
    cells.
    """

    key: SessionKey
    width: int
    height: int
    windows: tuple[WindowSnapshot, ...]


@dataclass(frozen=True, slots=True)
class CaptureFailure:
    """A session whose panes could not be read, with the reason as a sentence. Its earlier panes must be discarded."""

    key: SessionKey
    why: str
