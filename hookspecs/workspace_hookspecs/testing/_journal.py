"""What the kit's plugins have told, in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Journal", "Note", "listed"]


@dataclass(frozen=True, slots=True)
class Note:
    """One word of one of the kit's plugins.

    ``what``: ``loaded``, ``fired`` (the host's call, on its thread), ``heard`` (a plugin's hook), ``drain`` or ``close``.
    ``text`` is the id, None where that is no text; ``shown`` is its repr, ``type`` its type. ``state`` is what a connection of
    the test's saw of that workspace at that moment: ``active``, ``archived``, ``deleted``, or why nobody could see.
    """

    plugin: str
    what: str
    hook: str
    process: int
    text: str | None
    type: str
    shown: str
    state: str = ""

    @property
    def line(self) -> str:
        """For a person."""
        event = f" {self.hook}({self.shown})" if self.hook else ""
        state = f"; the workspace is {self.state}" if self.state else ""
        return f"process {self.process}, {self.plugin}: {self.what}{event}{state}"


class Journal:
    """All notes so far. Safe from any thread."""

    def __init__(self) -> None:
        self._notes: list[Note] = []
        self._changed = threading.Condition()

    def add(self, note: Note) -> None:
        """Keep one more."""
        with self._changed:
            self._notes.append(note)
            self._changed.notify_all()

    def notes(self) -> list[Note]:
        """A copy of all."""
        with self._changed:
            return list(self._notes)

    def wait(self, holds: Callable[[Sequence[Note]], bool], timeout: float) -> bool:
        """Wait until that holds for the notes, for at most so many seconds; whether it does."""
        with self._changed:
            return self._changed.wait_for(lambda: holds(self._notes), timeout)


def listed(notes: Sequence[Note], most: int = 12) -> str:
    """The notes for a person, a line each, the ticks left out."""
    lines = [note.line for note in notes if note.hook != "on_tick"]
    left = [f"… and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join(f"  {line}" for line in [*lines[:most], *left]) or "  nothing"
