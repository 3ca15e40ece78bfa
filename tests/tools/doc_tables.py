"""The generated tables of the documentation. ``python -m tests.tools.doc_tables`` writes them into the pages.

Each table stands in a page between the lines ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``, and is rendered from the code
that implements what it describes. A contract test compares the pages with what is rendered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from tests.tools.preset_pages import page_of, write_pages
from workspace_reaper.cli.app import app
from workspace_reaper.policy import protections
from workspace_reaper.policy.protection import Protection, always, never
from workspace_reaper.policy.protections import ALWAYS, RETRYING
from workspace_reaper.policy.rules import RULES
from workspace_reaper.registry import load_schema, preset_names, registry_names
from workspace_reaper.settings import describe_settings
from workspace_reaper.sweep.alarms import ALARMS

__all__ = ["TABLES", "outdated", "rendered", "written"]

DOCS = Path(__file__).parents[2] / "docs"


def settings_table() -> str:
    """Each setting with its type, default and meaning."""
    rows = [(f"`{item.name}`", item.type, _code(item.default), item.description) for item in describe_settings()]
    return _table(("setting", "type", "default", "meaning"), rows)


def commands_table() -> str:
    """Each command with its arguments and options, and what it does."""
    group = typer.main.get_command(app)
    commands: Mapping[str, typer.core.TyperCommand] = group.commands  # type: ignore[attr-defined]
    rows = [(f"`{name}{_usage(command)}`", _summary(command.help)) for name, command in sorted(commands.items())]
    return _table(("command", "what it does"), rows)


def rules_table() -> str:
    """Each reason: when it holds, what protects from it in addition to what always protects, and the confirmations it needs."""
    rows = [
        (
            f"`{rule.name}`",
            rule.holds_when,
            ", ".join(f"`{one.name}`" for one in rule.protections) or "none",
            rule.confirmations,
        )
        for rule in RULES
    ]
    return _table(("reason", "holds when", "protected by", "confirmations"), rows)


def protections_table() -> str:
    """Each protection: what it means, which reasons it protects from, and whether an operator can override it."""
    found = [one for one in vars(protections).values() if isinstance(one, Protection)]
    rows = [(f"`{one.name}`", one.meaning, _protects_from(one), _approval(one)) for one in found]
    return _table(("protection", "meaning", "protects from", "`sweep --approve` overrides it"), rows)


def _approval(protection: Protection) -> str:
    of_all = {always: "yes", never: ""}
    return of_all.get(protection.passes_with_approval, "in that case")


def _protects_from(one: Protection) -> str:
    if one in (*ALWAYS, RETRYING):
        return "every reason"
    return ", ".join(f"`{rule.name}`" for rule in RULES if one in rule.protections)


def alarms_table() -> str:
    """Each alarm of the catalogue."""
    rows = [(f"`{kind.name}`", kind.meaning, kind.clears_when, kind.action) for kind in ALARMS]
    return _table(("alarm", "meaning", "ends when", "what to do"), rows)


def registries_table() -> str:
    """Each installed registry and each preset, as its schema describes it."""
    described = [load_schema(name).describe() for name in (*registry_names(), *preset_names())]
    rows = [(f"`{one.name}`", one.server, one.sessions, one.database) for one in described]
    rows.append(("`table`", "any other: one table, described in the configuration", "as `session_patterns` says", "none"))
    rows.append(("`files`", "any other: files, described in the configuration", "as `session_patterns` says", "none"))
    return _table(("`registry`", "the server", "its sessions", "its database, unless configured"), rows)


def grants() -> str:
    """The statements that let a role of PostgreSQL read the tables of each installed registry."""
    lines = ["CREATE ROLE reaper LOGIN PASSWORD '…';", "GRANT USAGE ON SCHEMA public TO reaper;"]
    for name in registry_names():
        tables = ", ".join(table.name for table in load_schema(name).tables)
        lines += [f'-- registry = "{name}"', f"GRANT SELECT ON {tables} TO reaper;"]
    lines += ['-- registry = "table", with name = "Projects"', 'GRANT SELECT ON "Projects" TO reaper;']
    return "```sql\n" + "".join(f"{line}\n" for line in lines) + "```\n"


def presets_table() -> str:
    """Each preset with its page and its place."""
    schemas = [load_schema(name) for name in preset_names()]
    rows = [(f"`{one.name}`", one.server.replace("(hosts/", "("), one.database) for one in schemas]
    return _table(("`registry`", "the server", "its record, unless configured"), rows)


TABLES: Mapping[str, tuple[Path, Callable[[], str]]] = {
    "settings": (DOCS / "configuration.md", settings_table),
    "registries": (DOCS / "configuration.md", registries_table),
    "presets": (DOCS / "hosts" / "presets.md", presets_table),
    "commands": (DOCS / "commands.md", commands_table),
    "rules": (DOCS / "how-it-decides.md", rules_table),
    "protections": (DOCS / "how-it-decides.md", protections_table),
    "alarms": (DOCS / "operations.md", alarms_table),
    "grants": (DOCS / "security.md", grants),
}
"""The page of each table, and how it is rendered."""


def written(name: str) -> str:
    """Return the table as the page has it.

    Raises:
        AssertionError: The page does not have the two marks, once each and in order.
    """
    page = TABLES[name][0]
    text, begin, end = page.read_text(encoding="utf-8"), _mark(name, "begin"), _mark(name, "end")
    assert text.count(begin) == text.count(end) == 1, f"{page.name} needs the lines {begin!r} and {end!r}, once each"
    return text.split(begin)[1].split(end, maxsplit=1)[0]


def rendered(name: str) -> str:
    """Return the table as the code has it."""
    return TABLES[name][1]()


def outdated() -> list[str]:
    """Return the names of the tables that their pages do not have as the code has them."""
    return [name for name in TABLES if written(name) != rendered(name)]


def _mark(name: str, which: str) -> str:
    return f"<!-- {name}: {which} -->\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _code(default: str) -> str:
    return default if "'" in default or default in ("needed", "none") else f"`{default}`"


def _usage(command: typer.core.TyperCommand) -> str:
    parts = []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            metavar = (parameter.metavar or parameter.name or "").strip("[].").upper() + ("…" if parameter.nargs == -1 else "")
            parts.append(f" {metavar}" if parameter.required else f" [{metavar}]")
        elif parameter.name != "help" and not getattr(parameter, "hidden", False):
            kind: Any = parameter  # of typer's own class, which declares less than click's
            value = "" if getattr(parameter, "is_flag", False) else f" {(kind.metavar or kind.type.name).upper()}"
            parts.append(f" [{parameter.opts[0]}{value}]")
    return "".join(parts)


def _summary(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def main() -> None:
    """Write every table into its page, unless pyproject.toml names other registries than are installed."""
    project = (DOCS.parent / "pyproject.toml").read_text(encoding="utf-8")
    section = project.split('[project.entry-points."workspace_reaper.registries"]')[1].split("\n[")[0]
    named = set(re.findall(r"^([\w-]+) = ", section, re.MULTILINE))
    if named != set(registry_names()):
        raise SystemExit("The installed registries are not those of pyproject.toml: install again (pip install -e .)")
    for name in write_pages():
        print(f"{page_of(name).name}")
    for name in outdated():
        page = TABLES[name][0]
        text, begin, end = page.read_text(encoding="utf-8"), _mark(name, "begin"), _mark(name, "end")
        page.write_text(text.replace(begin + written(name) + end, begin + rendered(name) + end), encoding="utf-8")
        print(f"{page.name}: {name}")


if __name__ == "__main__":
    main()
