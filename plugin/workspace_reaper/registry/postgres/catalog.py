"""Reads PostgreSQL's catalogues: the identity of a database, its tables, and the types of their columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Table, Text, cast, type_coerce
from sqlalchemy.engine import Connection

from workspace_reaper.model.workspace import FLAGS
from workspace_reaper.registry.id_types import (
    IdColumn,
    NativeUuid,
    PaddedText,
    TextId,
    UuidBlob,
    UuidHex,
    UuidText,
    WholeNumber,
)
from workspace_reaper.registry.postgres.errors import ConnectionEnded
from workspace_reaper.registry.queries import EXPRESSIONS
from workspace_reaper.registry.schema import WorkspaceColumns
from workspace_reaper.registry.schema_check import SchemaMismatch, plain

_BOOL, _BYTEA, _NAME, _INT8, _INT2, _INT4, _TEXT, _BPCHAR, _VARCHAR, _UUID = 16, 17, 19, 20, 21, 23, 25, 1042, 1043, 2950
_TEXTS = frozenset({_NAME, _TEXT, _BPCHAR, _VARCHAR})
_TRUTHS = frozenset({_BOOL, _INT2, _INT4, _INT8})
_STORED: dict[type[IdColumn], dict[int, type[IdColumn]]] = {
    TextId: {**dict.fromkeys(_TEXTS, TextId), _BPCHAR: PaddedText},
    UuidText: {**dict.fromkeys(_TEXTS, UuidText), _UUID: NativeUuid},
    UuidHex: {**dict.fromkeys(_TEXTS, UuidHex), _UUID: NativeUuid},
    UuidBlob: {_BYTEA: UuidBlob, _UUID: NativeUuid},
    WholeNumber: dict.fromkeys({_INT2, _INT4, _INT8}, WholeNumber),
}

_SHOWN = 4

SNAPSHOT = "SELECT pg_catalog.pg_current_snapshot()::text"

# The tables, their partitions and children, and what views select from.
#
# The whole row of pg_inherits is read: a partition that is being detached concurrently is only marked by a flag in it.
_BELOW = """
WITH RECURSIVE below(oid) AS (
    SELECT pg_catalog.to_regclass(name)::oid FROM pg_catalog.unnest(%(names)s::text[]) AS name
    UNION
    SELECT part.oid FROM below, LATERAL (
        SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = below.oid
        UNION ALL
        SELECT d.refobjid FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.objid = r.oid
        WHERE r.ev_class = below.oid AND r.ev_type = '1' AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
        AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    ) AS part(oid)
)
SELECT c.oid::bigint, pg_catalog.pg_relation_filenode(c.oid)::bigint, c.relrowsecurity, c.relforcerowsecurity,
    ARRAY(SELECT i::text FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid ORDER BY i.inhparent),
    CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END
FROM below JOIN pg_catalog.pg_class c ON c.oid = below.oid ORDER BY c.oid
"""


def identity_of(connection: Connection) -> str:
    """Return the identity of the database, which does not depend on its address.

    It consists of the oid and, if this role may read it, of the identifier that ``initdb`` has assigned to the cluster.

    Raises:
        ConnectionEnded: The server is a standby. It has the identity of its primary, but may lack rows.
    """
    oid, readable, is_standby = connection.exec_driver_sql(
        "SELECT oid::bigint, pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE'),"
        " pg_catalog.pg_is_in_recovery() FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()"
    ).one()
    if is_standby:
        raise ConnectionEnded("is a standby, which may lag: name the primary, or add target_session_attrs=primary to the URL")
    if not readable:
        return f"database {oid}"
    cluster = connection.exec_driver_sql("SELECT system_identifier FROM pg_catalog.pg_control_system()").scalar_one()
    return f"cluster {cluster}, database {oid}"


def snapshot_of(connection: Connection) -> str:
    """Return which transactions are visible to this one: ``xmin:xmax:those in progress``."""
    return str(connection.exec_driver_sql(SNAPSHOT).scalar_one())


def epoch_of(connection: Connection, tables: Sequence[Table]) -> str:
    """Return a text that changes when the content of the tables may have been replaced as a whole.

    That is the case if a table or a partition was created again or rewritten (restored from a dump, truncated, ``VACUUM
    FULL``), if a view was redefined, a partition attached or detached, or row-level security switched, and if the cluster began
    a new timeline (recovered to a point in time, promoted).
    """
    rows = connection.exec_driver_sql(_BELOW, {"names": [_name(connection, table) for table in tables]}).all()
    digest = hashlib.sha256(repr([tuple(row) for row in rows]).encode()).hexdigest()
    parts = [f"relations {', '.join(f'{row[0]}/{row[1]}' for row in rows[:_SHOWN])} ({digest[:16]})"]
    readable = connection.exec_driver_sql(
        "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_checkpoint()', 'EXECUTE')"
    ).scalar_one()
    if readable:
        timeline = connection.exec_driver_sql("SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()").scalar_one()
        parts.append(f"timeline {timeline}")
    return ", ".join(parts)


def columns_of(connection: Connection, tables: Sequence[Table]) -> dict[str, set[str]]:
    """Return the columns of each of these tables by its full name; an empty set if the table does not exist.

    A temporary table is none of the host's: behind a pooler it belongs to the client that used the connection before.
    """
    names = {_name(connection, table): table.fullname for table in tables}
    found: dict[str, set[str]] = {table.fullname: set() for table in tables}
    rows = connection.exec_driver_sql(
        "SELECT name, attname::text FROM pg_catalog.unnest(%(names)s::text[]) AS name JOIN pg_catalog.pg_attribute"
        " ON attrelid = pg_catalog.to_regclass(name) AND attnum > 0 AND NOT attisdropped"
        " JOIN pg_catalog.pg_class c ON c.oid = attrelid AND c.relpersistence <> 't'",
        {"names": list(names)},
    )
    for name, column in rows:
        found[names[name]].add(column)
    return found


def table_names(connection: Connection) -> Iterable[str]:
    """Return the names of all tables and views, with their schema if it is not on the search path."""
    return connection.exec_driver_sql(
        "SELECT CASE WHEN pg_catalog.pg_table_is_visible(c.oid) THEN c.relname::text"
        " ELSE n.nspname::text || '.' || c.relname::text END"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    ).scalars()


def has_index(connection: Connection, table: Table, column: str) -> bool:
    """Return whether the column has an index. True for a view, for which that is unknown."""
    found = connection.exec_driver_sql(
        "SELECT c.relkind NOT IN ('r', 'p', 'm') OR EXISTS (SELECT FROM pg_catalog.pg_index i"
        "  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
        "  WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = %(column)s)"
        " FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(%(table)s)",
        {"table": _name(connection, table), "column": column},
    )
    return bool(found.scalar_one())


def _name(connection: Connection, table: Table) -> str:
    return plain(connection.dialect, connection.dialect.identifier_preparer.format_table(table))


def fitted(facts: WorkspaceColumns, types: Sequence[int]) -> WorkspaceColumns:
    """Return the column expressions with the id in the type that this database uses.

    Args:
        facts: The column expressions of the schema.
        types: The oids of the types of the id, and of each of `EXPRESSIONS`.

    Raises:
        SchemaMismatch: A column has a type that does not fit.
    """
    id_type, *others = types
    oids = dict(zip(EXPRESSIONS, others, strict=True))
    for name in (*FLAGS, "where"):
        oid = oids[name]
        if getattr(facts, name) is not None and oid not in _TRUTHS:
            raise SchemaMismatch(
                f'cannot evaluate {name}: it gives {_type_name(oid)}, not true or false. With registry = "table" write an '
                f"expression, such as {name} = \"column = 'value'\""
            )
    for name in ("worktree", "session"):
        if getattr(facts, name) is not None and oids[name] not in _TEXTS:
            raise SchemaMismatch(f"cannot evaluate {name}: it gives {_type_name(oids[name])}, not text")
    if facts.session is not None:
        facts = replace(facts, session=cast(facts.session, Text))  # without the spaces with which CHAR(n) is padded
    declared = facts.id.type
    if not isinstance(declared, IdColumn):
        return facts
    stored = _STORED[type(declared)].get(id_type)
    if stored is None:
        raise SchemaMismatch(f"has ids that are {_type_name(id_type)}, not {declared.kind}")
    return facts if stored is type(declared) else replace(facts, id=type_coerce(facts.id, stored()))


def _type_name(oid: int) -> str:
    from psycopg.postgres import types

    found = types.get(oid)
    return found.regtype if found is not None else f"of a type of their own ({oid})"
