"""CLI Agent Orchestrator: facts from the published ``cli-agent-orchestrator`` 2.5.4.

Its workspace is the tmux session, known while at least one row of ``terminals`` names it. There is no archive.
``tmux_session`` has no index there, so a look-up reads that table once; the host itself deletes rows of it that have not been
active for 14 days.

What is left alone, and by which column:

- In the middle of creation: none, for there is no row yet. The host makes the tmux session first and then commits the row, so a
  session without one may be about to get it: ``min_age`` holds it, and what is known of its name, which the session before may
  have had, does not count before the session has our stamp (`Cao.reuses_ids`).
- Deferred initialisation: ``initial_delivery``. Its state is ``pending`` from the row's first commit until the agent has its
  first message, or has failed, and the host's restart settles what a crash left: the workspace is running.
- External ownership: ``deferred_init_external_owner`` is set while somebody outside the host has to settle an
  initialisation, and ``deferred_init_failure`` once it failed, until they delete it: the workspace is pinned.
- ``deferred_init_runtime_reclaimed`` cancels that: such a row is only the record of a failure whose window is gone, and may
  share its name with a later session. It still counts as a row that names it.

``session_incarnation_id`` tells two sessions of one name apart only in the table, and not in tmux, so it decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workspace_reaper.registry.schema import Home, Schema, WorkspaceColumns, plain_text

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table

_PENDING = '%"state": "pending"%'
"""As the host writes it. Within a text of that JSON the quotes are escaped, so no message looks like it."""


class Cao(Schema):
    """Sessions ``cao-…`` on tmux's default socket; the whole name is the workspace id."""

    name = "cao"
    server = "[CLI Agent Orchestrator](hosts/cao.md)"
    database = "`db/cli-agent-orchestrator.db` in `CAO_HOME_DIR`; otherwise in `~/.aws/cli-agent-orchestrator`"
    reuses_ids = True
    optional = frozenset(
        {
            "terminals.initial_delivery",
            "terminals.deferred_init_external_owner",
            "terminals.deferred_init_failure",
            "terminals.deferred_init_runtime_reclaimed",
        }
    )

    @property
    def tables(self) -> Sequence[Table]:
        from workspace_reaper.registry.schemas.tables import CAO_TERMINALS

        return (CAO_TERMINALS,)

    def facts(self, absent: frozenset[str]) -> WorkspaceColumns:
        from sqlalchemy import Text, and_, case, cast, func, not_, null, or_

        (table,) = self.tables

        def column(name: str) -> ColumnElement[Any]:
            return null() if f"terminals.{name}" in absent else table.c[name]

        def is_set(condition: ColumnElement[Any]) -> ColumnElement[bool]:
            # As text: a truth value is a number in SQLite, and PostgreSQL does not compare it with one.
            return func.coalesce(cast(condition, Text), "0").not_in(["0", "false"])

        def of_any_window(condition: ColumnElement[bool]) -> ColumnElement[Any]:
            # 1 in each row of a session if the condition holds for some row of it; the rows asked for are read once.
            return func.max(case((condition, 1), else_=0)).over(partition_by=table.c.tmux_session)

        owned = or_(is_set(column("deferred_init_external_owner")), column("deferred_init_failure").is_not(None))
        reclaimed = is_set(column("deferred_init_runtime_reclaimed"))
        return WorkspaceColumns(
            id=table.c.tmux_session,
            pinned=of_any_window(and_(owned, not_(reclaimed))),
            running=of_any_window(cast(column("initial_delivery"), Text).like(_PENDING)),
            unique=False,
        )

    def homes(self, environ: Mapping[str, str]) -> tuple[Home, ...]:
        return (Home("default", ("(?P<id>cao-.+)",)),)

    def default_database(self, environ: Mapping[str, str]) -> str:
        """Under ``CAO_HOME_DIR``, else ``~/.aws/cli-agent-orchestrator``. An empty or blank variable counts as unset."""
        configured = environ.get("CAO_HOME_DIR", "").strip()
        user = Path(environ.get("HOME") or Path.home())
        home = Path(configured).expanduser() if configured else user / ".aws" / "cli-agent-orchestrator"
        return str(home / "db" / "cli-agent-orchestrator.db")

    def canonical(self, text: str) -> str | None:
        """The text itself."""
        return plain_text(text)


CAO = Cao()
