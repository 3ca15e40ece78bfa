"""What the state machine's oracle remembers of one session from sweep to sweep."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.tools.machine_facts import Row, Seen

__all__ = ["Looks", "Remembered"]


@dataclass(slots=True)
class Looks:
    """The looks that found the same of one workspace. Only those count that are far enough apart."""

    workspace: str = ""
    count: int = 0
    last: float = 0.0

    def add(self, workspace: str, now: float, gap: float) -> None:
        """One more look found it."""
        if self.count == 0 or self.workspace != workspace:
            self.workspace, self.count, self.last = workspace, 1, now
        elif now - self.last >= gap:
            self.count, self.last = self.count + 1, now

    def at(self, workspace: str) -> int:
        """How many counted that were at this workspace."""
        return self.count if self.workspace == workspace else 0


@dataclass(slots=True)
class Remembered:
    """``missing``: no row was found. ``witnessed``: row and directory were found to have gone together."""

    missing: Looks = field(default_factory=Looks)
    witnessed: Looks = field(default_factory=Looks)
    archived: str = ""
    archived_since: float | None = None
    dead_since: float | None = None
    watched: bool = False
    left_at: float | None = None

    def look(self, one: Seen, workspace: str, row: Row | None, now: float, last_sweep: float | None) -> None:
        """What a full sweep sees of the session itself, and of its row."""
        if one.clients:
            self.left_at = None
        elif self.has_left(one, last_sweep):
            self.left_at = now
        self.watched = one.clients
        self.dead_since = (self.dead_since or now) if one.dead else None
        if row is None or not row.archived:
            self.archived_since = None
        elif self.archived_since is None or self.archived != workspace:
            self.archived, self.archived_since = workspace, now

    def look_for_row(self, workspace: str, now: float, gap: float, *, gone: bool, witnessed: bool) -> None:
        """What a full sweep finds in place of the row."""
        if gone:
            self.missing.add(workspace, now, gap)
        else:
            self.missing.count = 0
        if gone and witnessed:
            self.witnessed.add(workspace, now, gap)
        else:
            self.witnessed.count = 0

    def has_left(self, one: Seen, last_sweep: float | None) -> bool:
        """tmux dates an attach and no detach. A client is seen to be gone, or came and went since the last sweep began."""
        if self.watched:
            return True
        if one.came is None or (self.left_at is not None and self.left_at >= one.came):
            return False
        return last_sweep is None or one.came >= int(last_sweep)

    def idle(self, one: Seen, now: float, last_sweep: float | None) -> float:
        """For how long there was neither input nor output in it, and no program of a pane ended."""
        moments = [one.activity, *one.outputs, *(died for _, died in one.panes if died is not None)]
        if one.came is not None:
            moments.append(one.came)
        if not one.clients and self.has_left(one, last_sweep):
            return 0.0
        return now - max([*moments, self.left_at or 0.0])
