"""What PostgreSQL's catalogues tell of a database: its identity, its tables, and what kinds of values they hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Table, type_coerce
from sqlalchemy.engine import Connection

from workspace_reaper.registry.columns import IdColumn, NativeUuid, TextId, UuidBlob, UuidHex, UuidText, WholeNumber
from workspace_reaper.registry.fitness import Unfit
from workspace_reaper.registry.queries import FLAGS
from workspace_reaper.registry.schema import Facts

__all__ = ["columns_of", "epoch_of", "fitted", "has_index", "identity_of", "table_names"]

_BOOL, _BYTEA, _NAME, _INT8, _INT2, _INT4, _TEXT, _BPCHAR, _VARCHAR, _UUID = 16, 17, 19, 20, 21, 23, 25, 1042, 1043, 2950
_TEXTS = frozenset({_NAME, _TEXT, _BPCHAR, _VARCHAR})
_TRUTHS = frozenset({_BOOL, _INT2, _INT4, _INT8})
_STORED: dict[type[IdColumn], dict[int, type[IdColumn]]] = {
    TextId: dict.fromkeys(_TEXTS, TextId),
    UuidText: {**dict.fromkeys(_TEXTS, UuidText), _UUID: NativeUuid},
    UuidHex: {**dict.fromkeys(_TEXTS, UuidHex), _UUID: NativeUuid},
    UuidBlob: {_BYTEA: UuidBlob, _UUID: NativeUuid},
    WholeNumber: dict.fromkeys({_INT2, _INT4, _INT8}, WholeNumber),
}


def identity_of(connection: Connection) -> str:
    """Which database of which cluster this is, whatever address it has: its oid, and the identifier that ``initdb`` gave the
    cluster, where this role may know it."""
    oid, readable = connection.exec_driver_sql(
        "SELECT oid::bigint, pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')"
        " FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()"
    ).one()
    if not readable:
        return f"database {oid}"
    cluster = connection.exec_driver_sql("SELECT system_identifier FROM pg_catalog.pg_control_system()").scalar_one()
    return f"cluster {cluster}, database {oid}"


def epoch_of(connection: Connection, tables: Sequence[Table]) -> str:
    """What changes when a table was made anew or rewritten (restored from a dump, truncated, ``VACUUM FULL``), or when the
    cluster left the history that it had (recovered to a moment, promoted)."""
    prepared = connection.dialect.identifier_preparer
    rows = connection.exec_driver_sql(
        "SELECT c.oid::bigint, pg_catalog.pg_relation_filenode(c.oid)::bigint"
        " FROM pg_catalog.unnest(%(names)s::text[]) WITH ORDINALITY AS t(name, place)"
        " JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(name) ORDER BY place",
        {"names": [prepared.format_table(table) for table in tables]},
    )
    parts = [f"{oid}/{filenode}" for oid, filenode in rows]
    readable = connection.exec_driver_sql(
        "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_checkpoint()', 'EXECUTE')"
    ).scalar_one()
    if readable:
        timeline = connection.exec_driver_sql("SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()").scalar_one()
        parts.append(f"timeline {timeline}")
    return ", ".join(parts)


def columns_of(connection: Connection, tables: Sequence[Table]) -> dict[str, set[str]]:
    """The columns of each of these tables, by its full name; of one that is not there, none."""
    prepared = connection.dialect.identifier_preparer
    names = {prepared.format_table(table): table.fullname for table in tables}
    found: dict[str, set[str]] = {table.fullname: set() for table in tables}
    rows = connection.exec_driver_sql(
        "SELECT name, attname::text FROM pg_catalog.unnest(%(names)s::text[]) AS name JOIN pg_catalog.pg_attribute"
        " ON attrelid = pg_catalog.to_regclass(name) AND attnum > 0 AND NOT attisdropped",
        {"names": list(names)},
    )
    for name, column in rows:
        found[names[name]].add(column)
    return found


def table_names(connection: Connection) -> Iterable[str]:
    """The tables and views that a look-up could name, with their schema where they need it."""
    return connection.exec_driver_sql(
        "SELECT CASE WHEN pg_catalog.pg_table_is_visible(c.oid) THEN c.relname::text"
        " ELSE n.nspname::text || '.' || c.relname::text END"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    ).scalars()


def has_index(connection: Connection, table: Table, column: str) -> bool:
    """Whether the table can be asked for one value of the column; True as well of a view, which does not tell."""
    found = connection.exec_driver_sql(
        "SELECT c.relkind NOT IN ('r', 'p', 'm') OR EXISTS (SELECT FROM pg_catalog.pg_index i"
        "  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
        "  WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = %(column)s)"
        " FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(%(table)s)",
        {"table": connection.dialect.identifier_preparer.format_table(table), "column": column},
    )
    return bool(found.scalar_one())


def fitted(facts: Facts, types: Sequence[int]) -> Facts:
    """The facts with the id as this database stores it. ``types`` are those (their oids) of the id, of each flag, and of
    the worktree. ``Unfit`` if one of them can't tell what it is there for."""
    id_type, *flags, worktree = types
    for name, oid in zip(FLAGS, flags, strict=True):
        if getattr(facts, name) is not None and oid not in _TRUTHS:
            raise Unfit(f"can't tell {name}: it gives {_type_name(oid)}, not true or false")
    if facts.worktree is not None and worktree not in _TEXTS:
        raise Unfit(f"can't tell worktree: it gives {_type_name(worktree)}, not text")
    declared = facts.id.type
    if not isinstance(declared, IdColumn):
        return facts
    stored = _STORED[type(declared)].get(id_type)
    if stored is None:
        raise Unfit(f"has ids that are {_type_name(id_type)}, not {declared.kind}")
    return facts if stored is type(declared) else replace(facts, id=type_coerce(facts.id, stored()))


def _type_name(oid: int) -> str:
    from psycopg.postgres import types  # noqa: PLC0415

    found = types.get(oid)
    return found.regtype if found is not None else f"of a type of their own ({oid})"
