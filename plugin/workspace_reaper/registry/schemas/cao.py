"""CLI Agent Orchestrator: facts from the published ``cli-agent-orchestrator`` 2.5.4.

Its workspace is the tmux session, known while at least one row of ``terminals`` names it. There is no archive.
``tmux_session`` has no index there, so a look-up reads that table once; the host itself deletes rows of it that have not been
active for 14 days.

Protected sessions, and the column that protects each:

- A session that is being created: no column. The host creates the tmux session first and then commits the row, so ``min_age``
  protects a session without a row. An earlier session may have had the same name. So what is recorded about the name counts
  only once the session has our owner mark (`Cao.reuses_ids`).
- Deferred initialisation: ``initial_delivery``. Its state is ``pending`` from the first commit of the row until the agent has
  its first message or has failed. A restart of the host settles what a crash left. The workspace counts as running.
- External ownership: ``deferred_init_external_owner`` is set while a program outside the host must settle an initialisation,
  and ``deferred_init_failure`` from its failure until it is deleted. The workspace counts as pinned.
- ``deferred_init_runtime_reclaimed`` cancels that: such a row only records a failure whose window is gone, and a later session
  may have the same name. It still counts as a row of that name.

``session_incarnation_id`` distinguishes two sessions of one name in the table, but not in tmux. So it is not used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workspace_reaper.registry.schema import Home, Schema, WorkspaceColumns, plain_text

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table

# The pending state as the host writes it. In the texts of that JSON quotes are escaped, so no message matches.
_PENDING = '%"state": "pending"%'


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

    @cached_property
    def tables(self) -> Sequence[Table]:
        """The table of the windows of all sessions."""
        from sqlalchemy import Column, Integer, MetaData, String, Table

        from workspace_reaper.registry.id_types import TextId

        terminals = Table(
            "terminals",
            MetaData(),
            Column("id", String(), primary_key=True),
            Column("tmux_session", TextId()),
            Column("initial_delivery", String()),  # JSON
            Column("deferred_init_external_owner", Integer()),
            Column("deferred_init_failure", String()),  # JSON
            Column("deferred_init_runtime_reclaimed", Integer()),
        )
        return (terminals,)

    def facts(self, absent: frozenset[str]) -> WorkspaceColumns:
        from sqlalchemy import Text, and_, case, cast, func, not_, null, or_

        (table,) = self.tables

        def column(name: str) -> ColumnElement[Any]:
            return null() if f"terminals.{name}" in absent else table.c[name]

        def is_set(condition: ColumnElement[Any]) -> ColumnElement[bool]:
            # As text: a boolean is a number in SQLite, and PostgreSQL does not compare it with a number.
            return func.coalesce(cast(condition, Text), "0").not_in(["0", "false"])

        def of_any_window(condition: ColumnElement[bool]) -> ColumnElement[Any]:
            # 1 in each row of a session if the condition holds for any of its rows. Each row is read once.
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
        """Return the path in ``CAO_HOME_DIR`` or, if that is unset, empty or blank, in ``~/.aws/cli-agent-orchestrator``."""
        configured = environ.get("CAO_HOME_DIR", "").strip()
        user = Path(environ.get("HOME") or Path.home())
        home = Path(configured).expanduser() if configured else user / ".aws" / "cli-agent-orchestrator"
        return str(home / "db" / "cli-agent-orchestrator.db")

    def canonical(self, text: str) -> str | None:
        """Return the text itself."""
        return plain_text(text)


CAO = Cao()
