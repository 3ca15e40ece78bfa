"""Step 2, look up: ask the registry for the rows of all workspaces in one query."""

from __future__ import annotations

from workspace_reaper.model.events import GONE_EVENTS
from workspace_reaper.model.state import LedgerState
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy.registry_identity import recognise
from workspace_reaper.sweep.context import SweepContext
from workspace_reaper.sweep.observe import Observation
from workspace_reaper.util.text import printable


def unknown_sessions(seen: Observation, rows: LookupResult) -> str | None:
    """Return how many of the managed sessions the registry has rows for, with an example of one without; None if for all."""
    without = [session for session, workspace_id in seen.sessions if workspace_id not in rows.found]
    if not without:
        return None
    known, example = len(seen.sessions) - len(without), printable(min(session.name for session in without))
    return f"the registry knows {known} of {len(seen.sessions)} matching sessions; not, for example, {example}"


def recognised_others(seen: Observation, rows: LookupResult) -> frozenset[str]:
    """Return the workspaces of sessions with another reaper's owner mark for which the registry has a row."""
    return frozenset(one for _, one in seen.other_owners if (row := rows.found.get(one)) and not row.deleted)


def look_up(context: SweepContext, seen: Observation, ledger_state: LedgerState) -> LookupResult | Unknown:
    """Return the rows of the observed sessions, of the suspects and of open intents, and note the registry in the report."""
    if seen.unrecorded is not None:
        return seen.unrecorded
    suspects = context.request.suspects or {}
    interrupted = {intent.workspace_id for intent in ledger_state.open_intents}
    others = {workspace_id for _, workspace_id in seen.other_owners}
    named = {workspace_id for naming in seen.naming.values() for workspace_id in naming.others}
    # Also those whose sessions have gone: which rows vanished together with them says what happened to the registry.
    ids = sorted({*seen.workspace_ids, *suspects, *interrupted, *others, *named, *ledger_state.directories})
    rows = context.dependencies.registry.look_up(ids, ledger_state.registry.identity.sentinels)
    if isinstance(rows, Unknown):
        return rows
    for one in rows.found.values():
        if one.unreadable:
            where, what = context.dependencies.registry.location, f"the row of the workspace {one.workspace_id} cannot be read"
            context.add_unknown(Unknown(Source.REGISTRY, f"{where}: {what}: {one.unreadable}."))
    # Also those whose rows have gone since: such a session is an orphan that this reaper does not end.
    ours = recognised_others(seen, rows) | ledger_state.seen.keys() | ledger_state.named.keys()
    context.report.disowned = tuple(session.name for session, one in seen.other_owners if one in ours)
    context.report.registry = {
        "identity": f"{rows.identity.schema} {rows.identity.location}",
        "generation": recognise(ledger_state.registry, rows).generation,
        "rows": rows.total,
        "rows_capped": rows.capped,
    }
    context.report.unknown_sessions = unknown_sessions(seen, rows)
    context.report.contradicted = frozenset(
        workspace_id
        for workspace_id, event in suspects.items()
        if (row := rows.found.get(workspace_id)) and not (row.deleted if event in GONE_EVENTS else row.archived)
    )
    return rows
