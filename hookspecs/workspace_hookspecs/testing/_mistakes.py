"""From what plugins heard to what the host does wrong, and what to do about it. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Final

from workspace_hookspecs.testing._journal import Note, listed
from workspace_hookspecs.testing._listeners import ARCHIVED, DELETED

__all__ = ["NO_TICK", "OF_WORKSPACES", "heard", "none_expected", "not_canonical", "one_expected", "unloaded", "with_notes"]

OF_WORKSPACES: Final = (DELETED, ARCHIVED)
_CALL: Final = {DELETED: "plugins.workspace_deleted(workspace_id)", ARCHIVED: "plugins.workspace_archived(workspace_id)"}

NO_TICK: Final = (
    "No tick came. A plugin makes good at a tick what it has missed, so a host that never ticks has plugins that never catch "
    "up. Enter 'with plugins.ticking(every=60):' in the process that serves, or call plugins.tick() from your scheduler."
)
_NOT_LOADED: Final = (
    "No plugin has said a word: the host does not load those that are installed. Call WorkspacePlugins.load() when the server "
    "starts, after the fixture 'workspace_host' was asked for; the environment that the fixture gives a server in another "
    "process must have this one's PYTHONPATH and WORKSPACE_… variables."
)


def heard(notes: Iterable[Note], workspace_id: str, hook: str | None = None, plugin: str = "recorder") -> list[Note]:
    """What that plugin heard of that workspace."""
    hooks = OF_WORKSPACES if hook is None else (hook,)
    return [
        note for note in notes if (note.plugin, note.what, note.text) == (plugin, "heard", workspace_id) and note.hook in hooks
    ]


def unloaded(notes: Sequence[Note]) -> str | None:
    """The host has loaded no plugin."""
    return None if notes else _NOT_LOADED


def one_expected(notes: Sequence[Note], act: str, workspace_id: str, hook: str, then: str) -> str | None:
    """What is wrong if ``act`` should have fired that hook for that workspace, once, when its state was ``then``."""
    return (
        unloaded(notes)
        or _missing(notes, act, workspace_id, hook)
        or _superfluous(notes, act, workspace_id, hook)
        or _too_early(notes, act, workspace_id, then)
    )


def none_expected(notes: Sequence[Note], what: str, advice: str) -> str | None:
    """What is wrong if nothing should have been fired at all."""
    events = [note for note in notes if note.hook in OF_WORKSPACES]
    if not events:
        return unloaded(notes)
    return f"{what} fired {events[0].hook}({events[0].shown}). {advice}"


def not_canonical(ids: Sequence[str]) -> str | None:
    """What is wrong with the form of these ids, all of one host's."""
    for one in ids:
        if len(one) == 36 and (canonical := _uuid(one)) and canonical != one:
            return f"The id {one!r} is a UUID, and its canonical text is {canonical!r}. Fire str(uuid.UUID(…)), in lower case."
    # One id of 32 hex digits may look like a UUID by chance, several do not.
    bare = [_uuid(one) for one in ids if len(one) == 32]
    if len(bare) == len(ids) > 3 and all(text is not None and text[14] in "1457" for text in bare):
        return f"The ids are UUIDs without their hyphens, such as {ids[0]!r}. The canonical text is {bare[0]!r}: fire that."
    return None


def with_notes(mistake: str, notes: Sequence[Note]) -> str:
    """The message of a check that fails."""
    return f"{mistake}\n\nWhat the kit's plugins saw, in order:\n{listed(notes)}"


def _missing(notes: Sequence[Note], act: str, workspace_id: str, hook: str) -> str | None:
    if heard(notes, workspace_id, hook):
        return None
    if heard(notes, workspace_id):
        other = heard(notes, workspace_id)[0].hook
        return f"{act} fired {other} instead of {hook}. Call {_CALL[hook]} there."
    if any(note.what == "fired" and note.text == workspace_id for note in notes):
        return (
            f"{act} fired {hook}, and the plugin never got it: the host was shut down before its queue was worked off. "
            "Call plugins.drain(timeout=5) and then plugins.close() when the server shuts down."
        )
    events = [note for note in notes if note.hook in OF_WORKSPACES]
    if events:
        return (
            f"{act} fired {events[0].hook} with {events[0].shown}, of type {events[0].type}, and the workspace is "
            f"{workspace_id!r}. Fire the id that create() returns, as text, in your canonical form."
        )
    return f"{act} fired nothing. Call {_CALL[hook]} after its commit, wherever the request comes from."


def _superfluous(notes: Sequence[Note], act: str, workspace_id: str, hook: str) -> str | None:
    events = heard(notes, workspace_id)
    others = [note for note in events if note.hook != hook]
    strangers = [note for note in notes if note.hook in OF_WORKSPACES and note.text != workspace_id]
    if others:
        return f"{act} fired {others[0].hook} besides {hook}. Fire only what became of the workspace."
    if len(events) > 1:
        return f"{act} fired {hook} {len(events)} times. Fire it once, where the transaction is committed and nowhere else."
    if strangers:
        return f"{act} also fired {strangers[0].hook} with {strangers[0].shown}, which is another workspace, or none."
    return None


def _too_early(notes: Sequence[Note], act: str, workspace_id: str, then: str) -> str | None:
    for note in notes:
        if note.text == workspace_id and note.state and note.state != then:
            if note.state.startswith("unreadable"):
                return f"At the moment of {act}'s event nobody else could look at the database: {note.state}"
            return (
                f"{act} fired {note.hook} while another connection still saw the workspace {note.state}: before the commit. "
                "Move the call behind it; with sqlite3, behind the block 'with connection:'."
            )
    return None


def _uuid(text: str) -> str | None:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None
