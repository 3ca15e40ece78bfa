"""The table of settings in the README. ``python -m tests.tools.settings_table`` writes it anew from the settings class."""

from __future__ import annotations

from pathlib import Path

from workspace_reaper.settings import describe_settings

README = Path(__file__).parents[2] / "README.md"
BEGIN = "<!-- settings: begin -->\n"
END = "<!-- settings: end -->\n"


def rendered() -> str:
    """The table, in Markdown, as the settings class has it."""
    rows = [f"| `{item.name}` | {item.type} | {_code(item.default)} | {item.description} |" for item in describe_settings()]
    return "\n".join(["| setting | type | default | meaning |", "|---|---|---|---|", *rows]) + "\n"


def written(text: str) -> str:
    """The table between the two marks in ``text``; an ``AssertionError`` if the marks are not there, once each, in order."""
    assert text.count(BEGIN) == text.count(END) == 1, f"the README needs the lines {BEGIN!r} and {END!r}"
    return text.split(BEGIN)[1].split(END, maxsplit=1)[0]


def _code(default: str) -> str:
    return default if "'" in default or default in ("needed", "none") else f"`{default}`"


def main() -> None:
    """Write the table into the README."""
    text = README.read_text(encoding="utf-8")
    README.write_text(text.replace(BEGIN + written(text) + END, BEGIN + rendered() + END), encoding="utf-8")


if __name__ == "__main__":
    main()
