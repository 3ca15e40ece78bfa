"""Build a session anew from its snapshot: windows, panes, layout. All of it, or nothing stays.

The session is made under a name that nobody else has, is kept from its first instant on (``@reaper_keep`` is set in the
invocation that makes it), and gets its real name at the very end, from tmux itself, which refuses one that is taken. What was
begun and not finished is removed by a mark with a random value, never by a name.

tmux expands formats in the names and directories of what it makes: ``_literal`` takes their meaning from them (measured on
tmux 3.3a, 3.5a and 3.8 with every kind of format). All commands go as arguments: they need no quoting, but for a ``;`` at the
end of one.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workspace_reaper.model.errors import CannotRestore
from workspace_reaper.model.session import Server
from workspace_reaper.model.snapshot import PaneSnapshot, SessionSnapshot, WindowSnapshot
from workspace_reaper.tmux.responses import advice

if TYPE_CHECKING:
    from workspace_reaper.tmux.server import ReaperServer, TmuxCommand

__all__ = ["Layout", "PaneStart", "SessionRebuild", "read_layout", "rebuilding"]

_MARK = "@reaper_restoring"

_LOOKS_FOR = 1.0

"""Seconds to look for a session whose making was interrupted: the server may not have got to it yet."""

_MADE = re.compile(r"(\$[0-9]+) (@[0-9]+) ([0-9]+) (%[0-9]+) ([0-9]+) ([0-9]+) ([0-9]+) (\S+)")

_MADE_FORMAT = "#{session_id} #{window_id} #{window_index} #{pane_id} #{pid} #{start_time} #{history_limit} #{version}"


@dataclass(frozen=True, slots=True)
class PaneStart:
    """How a pane starts: its working directory, and a program with its arguments (two words at least: tmux gives a single
    one to a shell)."""

    directory: str
    argv: tuple[str, ...]


class SessionRebuild:
    """A session that is built, and has not got its name yet. ``tmux`` is the server it is on. ``default_command`` is tmux's
    option for new panes, ``history_limit`` how many lines of scrollback they hold. ``unlaid`` are the indexes of windows whose
    old layout tmux refused."""

    def __init__(self, server: ReaperServer, snapshot: SessionSnapshot, starts: Mapping[str, PaneStart]) -> None:
        self._server = server
        self._snapshot = snapshot
        self._starts = starts
        self._nonce = secrets.token_hex(8)
        self._temporary = f"reaper-restoring-{self._nonce}"
        self._asked = False
        self.session_id = ""
        self.tmux: Server | None = None
        self.history_limit = 0
        self.default_command = ""
        self.unlaid: list[int] = []

    def build(self) -> None:
        """Make all of it. Raises ``CannotRestore``."""
        made: dict[str, str] = {}
        for window in sorted(self._snapshot.windows, key=lambda window: window.index):
            if window.window_id in made:  # a window may be linked into its session twice
                place = f"{self.session_id}:{window.index}"
                self._tell(("link-window", "-d", "-s", made[window.window_id], "-t", place))
            else:
                made[window.window_id] = self._fill(window)
        for window in self._snapshot.windows:
            if window.active:
                self._tell(("select-window", "-t", f"{self.session_id}:{window.index}"))
        self.default_command = self._tell(("display-message", "-p", "-t", f"{self.session_id}:", "#{default-command}"))

    def _fill(self, window: WindowSnapshot) -> str:
        """Make a window with all its panes; its id."""
        panes = _in_layout_order(window)
        make = self._new_window if self.session_id else self._new_session
        window_id, last = make(window, panes[0])
        made = {panes[0].pane_id: last}
        for pane in panes[1:]:
            last = made[pane.pane_id] = self._split(window_id, last, pane)
        self._lay_out(window, window_id)
        for pane in panes:
            if pane.active:
                self._tell(("select-pane", "-t", made[pane.pane_id]))
        return window_id

    def rename(self, name: str) -> str:
        """Give it its name; the name that tmux made of it. Raises ``CannotRestore`` if a session has that name already."""
        target = f"{self.session_id}:"
        done = self._run(("rename-session", "-t", target, "--", _literal(name)))
        if done.completed.stderr.startswith("duplicate session"):
            raise CannotRestore("a session of that name is on the socket already: choose another name with --as")
        _answer(done)
        return self._tell(("display-message", "-p", "-t", target, "#{session_name}"))

    def finish(self) -> None:
        """It is complete: nothing removes it any more."""
        self._run(("set-option", "-u", "-t", f"{self.session_id}:", _MARK))

    def remove(self) -> bool:
        """Remove what was begun, and nothing else; False where tmux did not say that it is gone."""
        seen = bool(self.session_id)
        deadline = time.monotonic() + _LOOKS_FOR
        while self._asked:
            done = self._run(("list-sessions", "-F", f"#{{session_id}} #{{==:#{{{_MARK}}},{self._nonce}}}"))
            answered = (done.completed.exit_code == 0 and not done.completed.stderr) or _nobody_there(done)
            ours = re.findall(r"(?m)^(\$[0-9]+) 1$", done.completed.stdout)
            if answered and not ours and (seen or time.monotonic() > deadline):
                return True
            if time.monotonic() > deadline:
                return False
            for session_id in ours:
                seen = True
                marked = f"#{{?#{{==:#{{session_id}},{session_id}}},#{{==:#{{{_MARK}}},{self._nonce}}},0}}"
                line = f"if-shell -F -t '{session_id}:' '{marked}' 'kill-session -t {session_id}'\n"
                self._server.cmd("source-file", "-", stdin=line)
            if not ours:
                time.sleep(0.02)
        return True

    def _new_session(self, window: WindowSnapshot, pane: PaneSnapshot) -> tuple[str, str]:
        width, height = _size(window, self._snapshot)
        start = self._starts[pane.pane_id]
        # The one target that is a name: the id is not known before, and this name is ours alone. In one invocation, so that no
        # sweep sees the session without its mark.
        mine = f"={self._temporary}:"
        self._asked = True
        size = ("-x", str(width), "-y", str(height))
        names = ("-s", self._temporary, "-n", _literal(window.name))
        text = self._tell(
            ("new-session", "-d", "-P", "-F", _MADE_FORMAT, *names, *size, "-c", _literal(start.directory), "--", *start.argv),
            ("set-option", "-t", mine, _MARK, self._nonce),
            ("set-option", "-t", mine, "@reaper_keep", "1"),
        )
        made = _MADE.fullmatch(text)
        if made is None:
            raise CannotRestore(f"tmux answered {text[:200]!r} to new-session")
        self.session_id, window_id, index, pane_id, pid, started, limit, version = made.groups()
        self.tmux = Server(int(pid), int(started), version)
        self.history_limit = int(limit)
        if int(index) != window.index:
            self._tell(("move-window", "-s", window_id, "-t", f"{self.session_id}:{window.index}"))
        return window_id, pane_id

    def _new_window(self, window: WindowSnapshot, pane: PaneSnapshot) -> tuple[str, str]:
        start = self._starts[pane.pane_id]
        place = ("-t", f"{self.session_id}:{window.index}", "-n", _literal(window.name), "-c", _literal(start.directory))
        text = self._tell(("new-window", "-d", "-P", "-F", "#{window_id} #{pane_id}", *place, "--", *start.argv))
        window_id, _, pane_id = text.partition(" ")
        return window_id, pane_id

    def _split(self, window_id: str, after: str, pane: PaneSnapshot) -> str:
        start = self._starts[pane.pane_id]
        place = ("-t", after, "-c", _literal(start.directory))
        return self._tell(
            ("split-window", "-d", "-h", "-P", "-F", "#{pane_id}", *place, "--", *start.argv),
            # Evenly spread each time, so that there is room for as many as there were.
            ("select-layout", "-t", window_id, "tiled"),
        )

    def _lay_out(self, window: WindowSnapshot, window_id: str) -> None:
        if read_layout(window.layout):
            done = self._run(("select-layout", "-t", window_id, window.layout))
            if done.completed.exit_code == 0 and not done.completed.stderr:
                return
        self.unlaid.append(window.index)

    def _tell(self, *commands: Sequence[str]) -> str:
        return _answer(self._run(*commands))

    def _run(self, *commands: Sequence[str]) -> TmuxCommand:
        words = [word for command in commands for word in (";", *map(_whole, command))]
        return self._server.cmd(*words[1:])


@contextmanager
def rebuilding(server: ReaperServer, snapshot: SessionSnapshot, starts: Mapping[str, PaneStart]) -> Iterator[SessionRebuild]:
    """Build the session, each pane as ``starts`` says (by its old id), and hand it over for what is left to do, ``rename``
    above all. If anything fails in the meantime, Ctrl-C included, it is removed again.

    A server that does not run is started. Raises ``CannotRestore``.
    """
    half_built = SessionRebuild(server, snapshot, starts)
    try:
        half_built.build()
        yield half_built
        half_built.finish()
    except BaseException as error:
        if not half_built.remove() and isinstance(error, Exception):
            raise CannotRestore(
                f"{error}; and what was built of it could not be removed again: kill the session with the option {_MARK}"
            ) from error
        raise


def _answer(done: TmuxCommand) -> str:
    completed = done.completed
    if completed.failure is not None or completed.exit_code != 0 or completed.stderr:
        raise CannotRestore(advice(completed))
    return completed.stdout.removesuffix("\n")


def _nobody_there(done: TmuxCommand) -> bool:
    text = done.completed.stderr
    return text.startswith("no server running") or (text.startswith("error connecting") and "No such file" in text)


def _literal(text: str) -> str:
    """What tmux's formats expand to ``text``: ``##`` is ``#``, but before a ``[`` any number of ``#`` stands for itself."""
    return re.sub(r"#+(\[?)", lambda found: found[0] if found[1] else found[0] * 2, text)


def _whole(word: str) -> str:
    """An argument that tmux takes for one word: a ``;`` at its end would end the command."""
    return f"{word[:-1]}\\;" if word.endswith(";") else word


def _size(window: WindowSnapshot, snapshot: SessionSnapshot) -> tuple[int, int]:
    layout = read_layout(window.layout)
    return (layout.width, layout.height) if layout else (snapshot.width, snapshot.height)


def _in_layout_order(window: WindowSnapshot) -> list[PaneSnapshot]:
    """The panes in the order in which they must be made, so that each gets its old place."""
    panes = {pane.pane_id: pane for pane in sorted(window.panes, key=lambda pane: pane.index)}
    layout = read_layout(window.layout)
    order = layout.order if layout else None
    return [panes[pane_id] for pane_id in order] if order and set(order) == set(panes) else list(panes.values())


_TEXT = re.compile(r"[0-9a-f]{4},([0-9]{1,9})x([0-9]{1,9}),[0-9x,\[\]{}]+")

_LEAF = re.compile(r"[0-9]+x[0-9]+,[0-9]+,[0-9]+,([0-9]+)(?=[,\]}]|$)")


@dataclass(frozen=True, slots=True)
class Layout:
    """``width`` and ``height`` of the window in cells. ``order``: pane ids in the order in which tmux hands the places out to
    the panes of a window, first to last; None where it goes by the panes' indexes."""

    width: int
    height: int
    order: tuple[str, ...] | None


def read_layout(text: str) -> Layout | None:
    """The layout, or None for what is none. tmux 3.3a and 3.5a hand the places out in the order in which they are written, and
    3.8 by the index that stands with each (measured)."""
    found = _TEXT.fullmatch(text)
    if found is not None:
        return Layout(int(found[1]), int(found[2]), tuple(f"%{number}" for number in _LEAF.findall(text)))
    try:
        root = json.loads(text)["L"]
        return Layout(int(root["w"]), int(root["h"]), None)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
