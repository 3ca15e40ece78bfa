"""Rebuild a session from its snapshot: windows, panes and layout. Either all of it is created, or nothing remains.

The session is created under a unique temporary name, is kept from the start (``@reaper_keep`` is set in the invocation that
creates it), and gets its real name at the very end, from tmux itself, which refuses a name in use. What is left of a failed
attempt is found by an option with a random value, never by a name.

tmux expands formats in the names and directories that it is given: ``_literal`` escapes them. All commands are given as
arguments: they need no quoting, except for a ``;`` at the end of one.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workspace_reaper.model.errors import CannotRestore
from workspace_reaper.model.session import Server
from workspace_reaper.model.snapshot import PaneSnapshot, SessionSnapshot, WindowSnapshot
from workspace_reaper.tmux.client import Completed
from workspace_reaper.tmux.responses import ListingOutcome, advice, meaning

if TYPE_CHECKING:
    from workspace_reaper.tmux.server import ReaperServer

_MARK = "@reaper_restoring"
# How long to look for a session whose creation was interrupted: the server may not have run the command yet.
_SEARCH_SECONDS = 1.0
# How often to kill it after that time.
_ATTEMPTS = 3

_CREATED = re.compile(r"(\$[0-9]+) (@[0-9]+) ([0-9]+) (%[0-9]+) ([0-9]+) ([0-9]+) ([0-9]+) (\S+)")
_CREATED_FORMAT = "#{session_id} #{window_id} #{window_index} #{pane_id} #{pid} #{start_time} #{history_limit} #{version}"
_ANSWERED = (ListingOutcome.ROWS, ListingOutcome.ABSENT, ListingOutcome.REFUSED)


@dataclass(frozen=True, slots=True)
class PaneStart:
    """How a pane starts: its working directory, and a program with its arguments (at least two words: tmux passes a single
    word to a shell)."""

    directory: str
    argv: tuple[str, ...]


class SessionRebuild:
    """A session that is being rebuilt and does not have its name yet.

    ``tmux`` is its server. ``default_command`` is tmux's option for new panes, ``history_limit`` the number of lines of
    scrollback that they hold. ``unlaid`` are the indexes of the windows whose layout tmux refused.
    """

    def __init__(self, server: ReaperServer, snapshot: SessionSnapshot, starts: Mapping[str, PaneStart]) -> None:
        self._server = server
        self._snapshot = snapshot
        self._starts = starts
        self._nonce = os.urandom(8).hex()
        self._requested = False
        self.session_id = ""
        self.tmux: Server | None = None
        self.history_limit = 0
        self.default_command = ""
        self.unlaid: list[int] = []

    def build(self) -> None:
        """Create all windows and panes. Raise ``CannotRestore``."""
        created: dict[str, str] = {}
        for window in sorted(self._snapshot.windows, key=lambda window: window.index):
            if window.window_id in created:  # a window may be linked into its session twice
                self._run(("link-window", "-d", "-s", created[window.window_id], "-t", f"{self.session_id}:{window.index}"))
            else:
                created[window.window_id] = self._create(window)
        for window in self._snapshot.windows:
            if window.active:
                self._run(("select-window", "-t", f"{self.session_id}:{window.index}"))
        self.default_command = self._run(("display-message", "-p", "-t", f"{self.session_id}:", "#{default-command}"))

    def _create(self, window: WindowSnapshot) -> str:
        """Create a window with all its panes. Return its id."""
        panes = _in_layout_order(window)
        create = self._new_window if self.session_id else self._new_session
        window_id, last = create(window, self._starts[panes[0].pane_id])
        created = {panes[0].pane_id: last}
        for pane in panes[1:]:
            start = self._starts[pane.pane_id]
            last = created[pane.pane_id] = self._run(
                ("split-window", "-d", "-h", "-P", "-F", "#{pane_id}", "-t", last, *_start_arguments(start)),
                # Spread evenly each time, so that there is room for the next.
                ("select-layout", "-t", window_id, "tiled"),
            )
        self._restore_layout(window, window_id)
        for pane in panes:
            if pane.active:
                self._run(("select-pane", "-t", created[pane.pane_id]))
        return window_id

    def rename(self, name: str) -> str:
        """Give the session its name. Return the name that tmux made of it.

        Raises:
            CannotRestore: A session has that name already.
        """
        target = f"{self.session_id}:"
        completed = self._ask(("rename-session", "-t", target, "--", _literal(name)))
        if completed.stderr.startswith("duplicate session"):
            raise CannotRestore("a session with that name already exists on the socket: choose another name with --as")
        _output(completed)
        return self._run(("display-message", "-p", "-t", target, "#{session_name}"))

    def finish(self) -> None:
        """Mark the session as complete: it is not removed any more."""
        self._ask(("set-option", "-u", "-t", f"{self.session_id}:", _MARK))

    def remove(self) -> bool:
        """Remove what was created, and nothing else. Return False where tmux did not confirm that it is gone."""
        seen, attempts = bool(self.session_id), 0
        deadline = time.monotonic() + _SEARCH_SECONDS
        is_ours = f"#{{==:#{{{_MARK}}},{self._nonce}}}"
        while self._requested:
            completed = self._ask(("list-sessions", "-F", f"#{{session_id}} {is_ours}"))
            ours = re.findall(r"(?m)^(\$[0-9]+) 1$", completed.stdout)
            is_late = time.monotonic() > deadline
            if not ours and (seen or is_late) and meaning(completed, str(self._server.socket_path)) in _ANSWERED:
                return True
            # A session that is there is removed also where one listing takes longer than the search.
            if is_late and (not ours or attempts >= _ATTEMPTS):
                return False
            attempts += bool(ours)
            for session_id in ours:
                seen = True
                marked = f"#{{?#{{==:#{{session_id}},{session_id}}},{is_ours},0}}"
                line = f"if-shell -F -t '{session_id}:' '{marked}' 'kill-session -t {session_id}'\n"
                self._server.cmd("source-file", "-", stdin=line)
            if not ours:
                time.sleep(0.02)
        return True

    def _new_session(self, window: WindowSnapshot, start: PaneStart) -> tuple[str, str]:
        layout = read_layout(window.layout)
        width, height = (layout.width, layout.height) if layout else (self._snapshot.width, self._snapshot.height)
        # The only target that is a name: the id is not known before, and this name is unique. In one invocation, so that no
        # sweep sees the session without its mark.
        name = f"reaper-restoring-{self._nonce}"
        options = ("-s", name, "-n", _literal(window.name), "-x", str(width), "-y", str(height))
        self._requested = True
        output = self._run(
            ("new-session", "-d", "-P", "-F", _CREATED_FORMAT, *options, *_start_arguments(start)),
            ("set-option", "-t", f"={name}:", _MARK, self._nonce),
            ("set-option", "-t", f"={name}:", "@reaper_keep", "1"),
        )
        created = _CREATED.fullmatch(output)
        if created is None:
            raise CannotRestore(f"tmux answered {output[:200]!r} to new-session")
        self.session_id, window_id, index, pane_id, pid, started, limit, version = created.groups()
        self.tmux = Server(int(pid), int(started), version)
        self.history_limit = int(limit)
        if int(index) != window.index:
            self._run(("move-window", "-s", window_id, "-t", f"{self.session_id}:{window.index}"))
        return window_id, pane_id

    def _new_window(self, window: WindowSnapshot, start: PaneStart) -> tuple[str, str]:
        options = ("-t", f"{self.session_id}:{window.index}", "-n", _literal(window.name), *_start_arguments(start))
        window_id, _, pane_id = self._run(
            ("new-window", "-d", "-P", "-F", "#{window_id} #{pane_id}", *options),
        ).partition(" ")
        return window_id, pane_id

    def _restore_layout(self, window: WindowSnapshot, window_id: str) -> None:
        if read_layout(window.layout):
            completed = self._ask(("select-layout", "-t", window_id, window.layout))
            if completed.exit_code == 0 and not completed.stderr:
                return
        self.unlaid.append(window.index)

    def _run(self, *commands: Sequence[str]) -> str:
        return _output(self._ask(*commands))

    def _ask(self, *commands: Sequence[str]) -> Completed:
        words = [word for command in commands for word in (";", *map(_argument, command))]
        return self._server.cmd(*words[1:]).completed


@contextmanager
def rebuilding(server: ReaperServer, snapshot: SessionSnapshot, starts: Mapping[str, PaneStart]) -> Iterator[SessionRebuild]:
    """Rebuild the session and hand it over for what remains to be done, above all ``rename``.

    If anything fails meanwhile, Ctrl-C included, it is removed again. A server that does not run is started.

    Args:
        server: The server on which the session is rebuilt.
        snapshot: What is rebuilt.
        starts: How each pane starts, by its id in the snapshot.

    Raises:
        CannotRestore: tmux refused a command, or did not answer.
    """
    rebuild = SessionRebuild(server, snapshot, starts)
    try:
        rebuild.build()
        yield rebuild
        rebuild.finish()
    except BaseException as error:
        if not rebuild.remove() and isinstance(error, Exception):
            raise CannotRestore(
                f"{error}; and the incomplete session could not be removed: kill the session with the option {_MARK}"
            ) from error
        raise


def _output(completed: Completed) -> str:
    if completed.failure is not None or completed.exit_code != 0 or completed.stderr:
        raise CannotRestore(advice(completed))
    return completed.stdout.removesuffix("\n")


def _start_arguments(start: PaneStart) -> tuple[str, ...]:
    return ("-c", _literal(start.directory), "--", *start.argv)


def _literal(text: str) -> str:
    """Escape ``text`` for tmux's formats: ``##`` is ``#``, but before a ``[`` any number of ``#`` stands for itself."""
    return re.sub(r"#+(\[?)", lambda found: found[0] if found[1] else found[0] * 2, text)


def _argument(word: str) -> str:
    """Escape a ``;`` at the end of an argument: tmux would end the command there."""
    return f"{word[:-1]}\\;" if word.endswith(";") else word


def _in_layout_order(window: WindowSnapshot) -> list[PaneSnapshot]:
    """Return the panes in the order in which they must be created, so that each gets its old place."""
    panes = {pane.pane_id: pane for pane in sorted(window.panes, key=lambda pane: pane.index)}
    layout = read_layout(window.layout)
    order = layout.order if layout else None
    return [panes[pane_id] for pane_id in order] if order and set(order) == set(panes) else list(panes.values())


_LAYOUT = re.compile(r"[0-9a-f]{4},([0-9]{1,9})x([0-9]{1,9}),[0-9x,\[\]{}]+")
_LAYOUT_PANE = re.compile(r"[0-9]+x[0-9]+,[0-9]+,[0-9]+,([0-9]+)(?=[,\]}]|$)")


@dataclass(frozen=True, slots=True)
class Layout:
    """``width`` and ``height`` of the window in cells. ``order``: the pane ids in the order in which tmux assigns places to the
    panes of a window, first to last; None where it assigns them by index."""

    width: int
    height: int
    order: tuple[str, ...] | None


def read_layout(text: str) -> Layout | None:
    """Parse a layout. Return None for anything else.

    tmux 3.3a and 3.5a assign the places in the order in which they are written, tmux 3.8 by the index written with each.
    """
    found = _LAYOUT.fullmatch(text)
    if found is not None:
        return Layout(int(found[1]), int(found[2]), tuple(f"%{number}" for number in _LAYOUT_PANE.findall(text)))
    try:
        root = json.loads(text)["L"]
        return Layout(int(root["w"]), int(root["h"]), None)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
