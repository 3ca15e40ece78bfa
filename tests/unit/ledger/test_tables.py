"""The tables that the migrations make have the columns of the classes that their rows hold."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import is_dataclass
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest

from workspace_reaper.ledger import tables
from workspace_reaper.ledger.migrations import migrate
from workspace_reaper.ledger.rows import columns_of
from workspace_reaper.model.state import RegistryState

OWN_COLUMNS = {
    "registry": ("id", "configured_name", "configured_location"),
    "event": ("id", "registry_id"),
    "reap": ("seq", "registry_id", "concluded_at"),
    "report": ("registry_id", "at", "head", "sessions_of", "sessions"),
}
"""Those that are in no class."""

KINDS: dict[str, Any] = {
    "registry": RegistryState,
    **{one.name: one.kind for one in vars(tables).values() if isinstance(one, tables.Table) and one is not tables.INTENT},
    "reap": tables.REAP.kind,
}


def affinities(kind: Any) -> dict[str, tuple[str, bool]]:
    """What SQLite calls the type of each column of a class, and whether it may be NULL."""
    found: dict[str, tuple[str, bool]] = {}
    for name, hint in get_type_hints(kind).items():
        if is_dataclass(hint) or hasattr(hint, "_fields"):
            found |= affinities(hint)
        else:
            optional = NoneType in get_args(hint)
            scalar = next((one for one in get_args(hint) if one is not NoneType), hint) if optional else hint
            found[name] = ({int: "INTEGER", bool: "INTEGER", float: "REAL"}.get(scalar, "TEXT"), optional)
    return found


def test_the_migrations_make_the_tables_of_the_classes() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        migrate(raw, "here")
        made = {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert made == set(KINDS)
        for table, kind in KINDS.items():
            columns = {row[1]: (row[2], not row[3]) for row in raw.execute(f"PRAGMA table_info({table})")}
            own = OWN_COLUMNS.get(table, ("registry_id",))
            assert {name: told for name, told in columns.items() if name not in own} == affinities(kind), table
            assert set(own) <= set(columns)
            assert set(columns_of(kind)) == set(affinities(kind))


@pytest.mark.parametrize("column", tables.INTENT.columns)
def test_no_column_of_an_intent_can_be_changed(column: str) -> None:
    """A migration that adds one must make the trigger anew."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        migrate(raw, "here")
        needed = [row[1] for row in raw.execute("PRAGMA table_info(reap)") if row[3] and row[1] != "concluded_at"]
        values = ", ".join("'open'" if name == "outcome" else "1" for name in needed)
        raw.execute(f"INSERT INTO reap ({', '.join(needed)}) VALUES ({values})")
        with pytest.raises(sqlite3.IntegrityError, match="an intent is written once"):
            raw.execute(f'UPDATE reap SET "{column}" = 2')


@pytest.mark.parametrize("module", ["model.state", "model.ports", "ledger"])
def test_neither_values_nor_the_ledger_load_sqlalchemy(module: str) -> None:
    script = f"import sys, workspace_reaper.{module}; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
