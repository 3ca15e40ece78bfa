"""The table of ``history``."""

from __future__ import annotations

from collections.abc import Sequence

from workspace_reaper.cli.tables import with_hosts
from workspace_reaper.model.reap import Reap
from workspace_reaper.sweep.report import iso, printable
from workspace_reaper.util.console import print_table


def show_history(reaps: Sequence[tuple[str | None, Reap, bool]]) -> None:
    """Print one line for each reap, newest first, with its host if there are several, and whether it can be restored."""
    rows = [
        (
            reap.intent.reap_id,
            iso(reap.intent.at),
            printable(reap.intent.session),
            printable(reap.intent.workspace_id),
            reap.intent.reason,
            reap.outcome.value,
            None if reap.why is None else printable(reap.why),
            size_text(reap.cleanup.freed_bytes),
            len(reap.cleanup.survivors) or None,
            "yes" if restorable else "no",
        )
        for _, reap, restorable in reaps
    ]
    columns = ("ID", "TIME", "SESSION", "WORKSPACE", "REASON", "OUTCOME", "WHY", "FREED", "LEFT", "RESTORABLE")
    print_table(*with_hosts([host for host, _, _ in reaps], columns, rows), empty="nothing has been reaped yet")


def size_text(size: int | None) -> str | None:
    """Return a number of bytes as readable text: ``812.4 MB``."""
    if size is None:
        return None
    for unit, limit in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= limit:
            return f"{size / limit:.1f} {unit}"
    return f"{size} B"
