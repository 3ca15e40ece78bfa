"""Step 2, look up: ask the registry for the rows of all workspaces in one query."""

from __future__ import annotations

from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.state import LedgerState
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy.registry_identity import recognise
from workspace_reaper.sweep.context import SweepContext
from workspace_reaper.sweep.observe import Observation


def look_up(context: SweepContext, seen: Observation, ledger_state: LedgerState) -> LookupResult | Unknown:
    """Return the rows of the observed sessions, of the suspects and of open intents, and note the registry in the report."""
    suspects = context.request.suspects or {}
    interrupted = {intent.workspace_id for intent in ledger_state.open_intents}
    ids = sorted({*seen.workspace_ids, *suspects, *interrupted})
    rows = context.dependencies.registry.look_up(ids, ledger_state.registry.identity.sentinels)
    if isinstance(rows, Unknown):
        return rows
    context.report.registry = {
        "identity": f"{rows.identity.schema} {rows.identity.location}",
        "generation": recognise(ledger_state.registry, rows).generation,
        "rows": rows.total,
        "rows_capped": rows.capped,
    }
    context.report.contradicted = frozenset(
        workspace_id
        for workspace_id, event in suspects.items()
        if (row := rows.found.get(workspace_id)) and not (row.deleted if event is WorkspaceEvent.DELETED else row.archived)
    )
    return rows
