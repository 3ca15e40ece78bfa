"""CLI Agent Orchestrator: facts from the published ``cli-agent-orchestrator`` 2.5.4.

Its workspace is the tmux session, known while at least one row of ``terminals`` names it. There is no archive and no
pin. ``tmux_session`` has no index there, so a look-up reads that table once; the host itself deletes rows of it
after 14 days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import Table
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from workspace_reaper.registry.columns import TextId
from workspace_reaper.registry.schema import Facts, Home, Schema, plain_text

__all__ = ["CAO", "Cao"]


class Base(SQLModel, registry=registry()):
    """Its own registry keeps this table apart from a host's that is itself built on SQLModel."""


class Terminal(Base, table=True):
    """One window of a session."""

    __tablename__ = "terminals"

    id: str = Field(primary_key=True)
    tmux_session: str = Field(sa_type=TextId)


_TERMINALS = Base.metadata.tables["terminals"]


class Cao(Schema):
    """Sessions ``cao-…`` on tmux's default socket; the whole name is the workspace id."""

    name = "cao"

    @property
    def tables(self) -> Sequence[Table]:
        return (_TERMINALS,)

    def facts(self, absent: frozenset[str]) -> Facts:  # noqa: ARG002
        return Facts(id=_TERMINALS.c.tmux_session, unique=False)

    def homes(self, environ: Mapping[str, str]) -> tuple[Home, ...]:  # noqa: ARG002
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
