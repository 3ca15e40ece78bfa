"""The host's workspaces: their rows, what a look-up returned, and a table described in the configuration. Frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

IdType = Literal["text", "uuid", "uuid-hex", "uuid-blob", "integer"]
IdInSession = Literal["text", "hex"]
Flag = Literal["archived", "pinned", "running", "deleted", "worktree_deleted"]

_TRUTH = "A column, or an SQL expression over the columns, that gives true, false or NULL: whether"


@dataclass(frozen=True)
class DescribedWorkspaces:
    """What the sections ``[table]`` and ``[files]`` have in common. ``ValueError`` if a field is blank.

    A plain name (letters, digits and ``_``), or one in double quotes, is a column. Anything else is the operator's SQL
    expression, evaluated in a read-only session. The metadata of each field has its ``description``, a sentence.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012  pydantic's own name, by which settings refuse other fields

    id: str = field(
        metadata={
            "description": "A column, or an SQL expression over the columns, that gives the workspace's id. A column should "
            "have an index."
        }
    )
    id_type: IdType = field(
        metadata={
            "description": "What the ids are: `text`; `uuid`, a UUID of the database's own kind or as text with hyphens; "
            "`uuid-hex`, a UUID as text of 32 hex digits; `uuid-blob`, a UUID as 16 bytes; or `integer`."
        }
    )
    id_in_session: IdInSession = field(
        default="text",
        metadata={
            "description": "How the group `id` of `session_patterns` shows the id: `text`, a number in decimal and a UUID with "
            "hyphens; or `hex`, a UUID as 32 hex digits."
        },
    )
    where: str | None = field(
        default=None,
        metadata={"description": f"{_TRUTH} the row is a workspace. Without it each row is one."},
    )
    session: str | None = field(
        default=None,
        metadata={
            "description": "A column, or an SQL expression over the columns, that gives the exact name of the workspace's tmux "
            "session, or NULL. `session_patterns` may then be left out."
        },
    )
    archived: str | None = field(default=None, metadata={"description": f"{_TRUTH} the workspace is archived."})
    deleted: str | None = field(default=None, metadata={"description": f"{_TRUTH} the workspace counts as deleted."})
    pinned: str | None = field(default=None, metadata={"description": f"{_TRUTH} the workspace is never idle."})
    running: str | None = field(default=None, metadata={"description": f"{_TRUTH} a process of the workspace runs."})
    worktree_deleted: str | None = field(
        default=None, metadata={"description": f"{_TRUTH} nothing is left of the workspace's directory."}
    )
    worktree: str | None = field(
        default=None, metadata={"description": "A column or an expression that gives the workspace's directory, or NULL."}
    )
    removes_worktree: bool = field(
        default=True,
        metadata={
            "description": "Whether the host removes the directory of a workspace that it deletes. With `false` a directory "
            "that is gone, or is still there, says nothing about a row that is gone."
        },
    )
    any_row: tuple[Flag, ...] = field(
        default=("pinned", "running"),
        metadata={
            "description": "For a workspace with several rows: the flags that hold if one of its rows has them. "
            "The others hold if all of its rows have them, or all that do not count as deleted."
        },
    )

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, str) and (not value.strip() or "\0" in value):
                raise ValueError(f"{name} is {value!r}")
        if self.id_in_session == "hex" and not self.id_type.startswith("uuid"):
            raise ValueError(f"id_in_session is 'hex', which is for UUIDs, and id_type is {self.id_type!r}")


# A base of its own, so that these fields come before those that are in common.
@dataclass(frozen=True)
class _TableName:
    name: str = field(
        metadata={"description": "The table that has a row for each workspace: its name, or `schema.name`, exactly as it is."}
    )


@dataclass(frozen=True)
class HostTable(DescribedWorkspaces, _TableName):
    """A table of the host's database, as the configuration describes it."""


@dataclass(frozen=True)
class _FilePaths:
    paths: tuple[str, ...] = field(
        metadata={
            "description": "The files that list the workspaces, as absolute paths, in which `*`, `?` and `[...]` match names. "
            "`~` and `$VARIABLE` are expanded. The format follows the ending: `.json`, `.toml`, `.yaml` or `.yml`."
        }
    )
    items: str | None = field(
        default=None,
        kw_only=True,
        metadata={
            "description": "Where in each file the workspaces are, as a JSON path of SQLite such as `$.instances`: a list or "
            "a map. Without it each file is one workspace."
        },
    )


@dataclass(frozen=True)
class HostFiles(DescribedWorkspaces, _FilePaths):
    """The files in which a host keeps its workspaces, as the configuration describes them.

    The columns of the expressions are ``key``, ``value`` (the item as JSON), ``path`` and ``stem`` (those of its file).
    """

    id: str = field(
        metadata={
            "description": "An SQL expression that gives the workspace's id, such as `value->>'id'`. Here and in the other "
            "expressions the columns are `key` (in a map, or the index in a list), `value` (the workspace as JSON), `path` (of "
            "the file) and `stem` (the file's name without its ending)."
        }
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.paths or not all(path.strip() and "\0" not in path for path in self.paths):
            raise ValueError(f"paths is {list(self.paths)!r}")
        if self.items is not None and not self.items.startswith("$"):
            raise ValueError(f"items is {self.items!r}, which does not begin with '$'")


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace as the host's table has it, in one row or in several.

    ``deleted`` is a flag of the host; most hosts delete the row instead. ``running``: the host reports that a process of the
    workspace runs, dev servers excepted. ``unreadable`` is why its row cannot be read, as a clause: it exists, and no
    flag counts. ``place`` is the number of its row, which is higher the later the row was made, and of several the lowest. None
    where rows have no numbers. It is no part of what the row says, so that rows are not compared by it.
    """

    workspace_id: str
    archived: bool = False
    pinned: bool = False
    running: bool = False
    deleted: bool = False
    worktree_deleted: bool = False
    worktree: str | None = None
    unreadable: str | None = None
    place: int | None = field(default=None, compare=False)


# The flags of a row. Schemas, queries and reports have them in this order.
FLAGS = tuple(field.name for field in fields(Workspace) if field.type == "bool")


@dataclass(frozen=True, slots=True)
class RegistryIdentity:
    """What identifies a registry: an older copy of the database, or another one, differs in at least one of these.

    Attributes:
        location: The file or the server. A file that replaced another one has a different location.
        schema: The name and version of the schema by which the database is read.
        schema_version: Changes when the tables change or when the whole content is replaced (a restored backup, a vacuum).
            Ordinary writes leave it alone. None if the database does not report it.
        change_counter: Grows with commits or stays the same; a smaller value means an older copy. None if unknown.
        sentinels: The ids of the oldest rows, oldest first, at most 32. They stand for all rows where there are many.
    """

    location: str = ""
    schema: str = ""
    schema_version: str | None = None
    change_counter: int | None = None
    sentinels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """A row that names a session.

    Attributes:
        workspace_id: The workspace of the row.
        is_certain: Whether the row has exactly that name, or one that tmux changes to it. Otherwise it differs in case or in
            the white space around it, or is not text, so that the row may mean another session.
        deleted: Whether the row is marked deleted.
    """

    workspace_id: str
    is_certain: bool = True
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class LookupResult:
    """The registry's response to a look-up.

    Attributes:
        found: The rows of the ids asked for, and of the workspaces in ``of``, by id.
        identity: The registry that was read.
        total: The number of rows, counted up to a limit.
        capped: Whether that limit was reached.
        sentinels_found: Those of the sentinels asked for that still have a row.
        of: The rows that name the sessions asked for, by the name of the session.
    """

    found: Mapping[str, Workspace]
    identity: RegistryIdentity
    total: int
    capped: bool
    sentinels_found: frozenset[str]
    of: Mapping[str, tuple[RecordedSession, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkspaceList:
    """All workspaces of a registry at one moment, by canonical id, without those flagged as deleted.

    ``archived`` is a subset of ``workspaces``. ``replaced`` is what shows that the content was replaced as a whole since the
    last list, although the identity is the same. ``looks_restored`` is what makes it likely that an older copy was put in the
    place of the database, without proving it. ``may_be_restored`` is why that cannot be excluded, if workspaces disappeared.
    """

    identity: RegistryIdentity
    workspaces: frozenset[str]
    archived: frozenset[str]
    replaced: str | None = None
    looks_restored: str | None = None
    may_be_restored: str | None = None
