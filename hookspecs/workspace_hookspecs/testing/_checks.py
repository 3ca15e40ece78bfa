"""Findings: from the calls that plugins received to what the host does wrong and what to do about it. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Final

from workspace_hookspecs.testing._recorder import ARCHIVED, DELETED, TICK, RecordedCall

_METHOD: Final = {DELETED: "plugins.workspace_deleted(workspace_id)", ARCHIVED: "plugins.workspace_archived(workspace_id)"}

NO_TICK: Final = (
    "The host fired no tick. Ticks make up for lost events. Enter 'with plugins.ticking(every=60):' in the process that "
    "serves, or call plugins.tick() from your scheduler."
)
_NOT_LOADED: Final = (
    "The host did not load the installed plugins. Call WorkspacePlugins.load() when the server starts, in or after the fixture "
    "'workspace_host'. If the fixture starts the server in another process, pass on this process's PYTHONPATH and WORKSPACE_… "
    "environment variables."
)


def received(
    calls: Iterable[RecordedCall], workspace_id: str, hook: str | None = None, plugin: str = "recorder"
) -> list[RecordedCall]:
    """Return the events of the workspace that the plugin received, of one hook or of both."""
    return _of_workspace(calls, (plugin, "received", workspace_id), hook)


def times_fired(calls: Sequence[RecordedCall], workspace_id: str, hook: str | None = None) -> int:
    """Return how often the host fired the hook, or both, for the workspace. Equal events that wait reach a plugin as one."""
    counted = (_of_workspace(calls, ("recorder", kind, workspace_id), hook) for kind in ("fired", "received"))
    return max(map(len, counted))


def _of_workspace(calls: Iterable[RecordedCall], wanted: tuple[str, str, str], hook: str | None) -> list[RecordedCall]:
    return [call for call in _events(calls) if (call.plugin, call.kind, call.text) == wanted and hook in (None, call.hook)]


def not_loaded(calls: Sequence[RecordedCall]) -> str | None:
    """Return the finding if the host has loaded no plugin."""
    return None if calls else _NOT_LOADED


def one_expected(calls: Sequence[RecordedCall], act: str, workspace_id: str, hook: str, state: str) -> str | None:
    """Return the finding unless ``act`` fired the hook for the workspace once, when its state was ``state``."""
    return (
        not_loaded(calls)
        or _missing(calls, act, workspace_id, hook)
        or _unexpected(calls, act, workspace_id, hook)
        or _too_early(calls, act, workspace_id, state)
    )


def none_expected(calls: Sequence[RecordedCall], act: str, advice: str) -> str | None:
    """Return the finding unless no event was fired."""
    events = _events(calls)
    return f"{act} fired {events[0].hook}({events[0].shown}). {advice}" if events else not_loaded(calls)


def not_canonical(ids: Sequence[str]) -> str | None:
    """Return the finding if one host's ids are UUIDs that are not in their canonical form."""
    for one in ids:
        if len(one) == 36 and (canonical := _uuid(one)) and canonical != one:
            return f"The id {one!r} is a UUID whose canonical text is {canonical!r}. Fire str(uuid.UUID(…)), in lower case."
    # A single id of 32 hex digits may look like a UUID by chance; several do not.
    bare = [_uuid(one) for one in ids if len(one) == 32]
    if len(bare) == len(ids) > 3 and all(text is not None and text[14] in "1457" for text in bare):
        return f"The ids are UUIDs without hyphens, such as {ids[0]!r}. Fire the canonical text, which is {bare[0]!r}."
    return None


def with_calls(finding: str, calls: Sequence[RecordedCall], most: int = 12) -> str:
    """Return the message of a failed check: the finding and the first calls, without ticks."""
    lines = [_line(call) for call in calls if call.hook != TICK]
    rest = [f"… and {len(lines) - most} more"] if len(lines) > most else []
    listed = "\n".join(f"  {line}" for line in [*lines[:most], *rest]) or "  nothing"
    return f"{finding}\n\nWhat the kit's plugins recorded, in order:\n{listed}"


def _line(call: RecordedCall) -> str:
    event = f" {call.hook}({call.shown})" if call.hook else ""
    state = f"; the workspace is {call.state}" if call.state else ""
    return f"process {call.process}, {call.plugin}: {call.kind}{event}{state}"


def _events(calls: Iterable[RecordedCall]) -> list[RecordedCall]:
    return [call for call in calls if call.hook in _METHOD]


def _missing(calls: Sequence[RecordedCall], act: str, workspace_id: str, hook: str) -> str | None:
    if received(calls, workspace_id, hook):
        return None
    if others := received(calls, workspace_id):
        return f"{act} fired {others[0].hook} instead of {hook}. Call {_METHOD[hook]} there."
    if any(call.kind == "fired" and call.text == workspace_id for call in calls):
        return (
            f"{act} fired {hook}, but the plugin never received it: the host shut down before the queue was processed. "
            "Call plugins.drain(timeout=5) and then plugins.close() when the server shuts down."
        )
    if events := _events(calls):
        return (
            f"{act} fired {events[0].hook} with {events[0].shown}, of type {events[0].type}, for the workspace "
            f"{workspace_id!r}. Fire the id that create() returns, as text, in your canonical form."
        )
    return f"{act} fired nothing. Call {_METHOD[hook]} after its commit, for every way in which a workspace changes."


def _unexpected(calls: Sequence[RecordedCall], act: str, workspace_id: str, hook: str) -> str | None:
    events = received(calls, workspace_id)
    others = [call for call in events if call.hook != hook]
    of_others = [call for call in _events(calls) if call.text != workspace_id]
    if others:
        return f"{act} fired {others[0].hook} in addition to {hook}. Fire only the change that was made."
    if (times := times_fired(calls, workspace_id, hook)) > 1:
        return f"{act} fired {hook} {times} times. Fire it once, after the commit, in one place."
    if of_others:
        return f"{act} also fired {of_others[0].hook} with {of_others[0].shown}, which is not the workspace's id."
    return None


def _too_early(calls: Sequence[RecordedCall], act: str, workspace_id: str, state: str) -> str | None:
    for call in calls:
        if call.text == workspace_id and call.state and call.state != state:
            if call.state.startswith("unreadable"):
                return f"When {act} fired its event, the database could not be read by another connection: {call.state}"
            return (
                f"{act} fired {call.hook} while another connection still saw the workspace {call.state}: before the commit. "
                "Move the call after the commit; with sqlite3, after the block 'with connection:'."
            )
    return None


def _uuid(text: str) -> str | None:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None
