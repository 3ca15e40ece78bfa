"""The generated tables of the documentation. ``python -m tests.tools.doc_tables`` writes them into the pages.

Each table stands in a page between the lines ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``, and is rendered from the code
that implements what it describes. A contract test compares the pages with what is rendered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import typer

from workspace_reaper.cli.app import app
from workspace_reaper.settings import describe_settings

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


TABLES: Mapping[str, tuple[Path, Callable[[], str]]] = {
    "settings": (DOCS / "configuration.md", settings_table),
    "commands": (DOCS / "commands.md", commands_table),
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
            value = "" if getattr(parameter, "is_flag", False) else f" {(parameter.metavar or parameter.type.name).upper()}"
            parts.append(f" [{parameter.opts[0]}{value}]")
    return "".join(parts)


def _summary(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def main() -> None:
    """Write every table into its page."""
    for name in outdated():
        page = TABLES[name][0]
        text, begin, end = page.read_text(encoding="utf-8"), _mark(name, "begin"), _mark(name, "end")
        page.write_text(text.replace(begin + written(name) + end, begin + rendered(name) + end), encoding="utf-8")
        print(f"{page.name}: {name}")


if __name__ == "__main__":
    main()
