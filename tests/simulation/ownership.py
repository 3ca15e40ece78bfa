"""Which workspaces the sessions belong to, by their marks and their names."""

from __future__ import annotations

import re
from functools import cache

from tests.simulation.lives import SessionLife, WorkspaceLife
from tests.simulation.oracle.rows import gone
from tests.simulation.world import World

__all__ = ["Ownership"]

# The names of sessions of a workspace, and of those that show one: see ``World``.
_OF_WORKSPACE = re.compile(r"(?:ws-(?=\w+$)|view-(?=\w+-))(\w+)")


@cache
def _named(name: str) -> str:
    """The id that a name yields; empty if it yields none."""
    found = _OF_WORKSPACE.match(name)
    return found[1] if found else ""


class Ownership:
    """Whose the sessions of a world are for a reaper with this owner id."""

    def __init__(self, world: World, owner_id: str) -> None:
        self.world = world
        self.owner_id = owner_id

    def is_foreign(self, life: SessionLife) -> bool:
        """Whether its own marks name another reaper."""
        options = self.world.tmux.sessions[life.session_id].options
        is_own = options.get("@reaper_self") == self.world.identity(life)
        return is_own and options.get("@workspace_owner") not in (None, "", self.owner_id)

    def marked(self, life: SessionLife) -> WorkspaceLife | None:
        """The workspace that its own marks name, if they are ours and its own."""
        options = self.world.tmux.sessions[life.session_id].options
        return self.marked_by_any(life) if options.get("@workspace_owner") == self.owner_id else None

    def marked_by_any(self, life: SessionLife) -> WorkspaceLife | None:
        """The workspace that its own marks name, of any owner."""
        options = self.world.tmux.sessions[life.session_id].options
        if options.get("@reaper_self") != self.world.identity(life):
            return None
        mark = bytes.fromhex(options.get("@reaper_workspace", "")).decode()
        return self.world.by_id.get(mark)

    def named(self, life: SessionLife) -> WorkspaceLife | None:
        """The workspace that its name yields."""
        name = self.world.tmux.sessions[life.session_id].name
        return self.world.by_id.get(_named(name))

    def managed(self) -> list[SessionLife]:
        """The sessions that are ours."""
        return [each for each in self.world.lives.values() if self.manages(each)]

    def manages(self, life: SessionLife) -> bool:
        """Whether it belongs to a workspace, and to no other reaper."""
        return bool(self.owners(life)) and not self.is_foreign(life)

    def owners(self, life: SessionLife) -> list[WorkspaceLife]:
        """The workspaces of its marks and of its name."""
        return [one for one in (self.marked(life), self.named(life)) if one is not None]

    def has_row(self, life: SessionLife) -> bool:
        return any(one.row is not None for one in self.owners(life))

    def is_gone(self, life: SessionLife) -> bool:
        """Whether there is no row for it, or only one that is flagged deleted."""
        return all(gone(one.rows[-1]) for one in self.owners(life))
