"""The pages of the presets, rendered from their files."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from workspace_reaper.registry import preset_names
from workspace_reaper.registry.presets import Preset, PresetPage, find_preset

__all__ = ["outdated_pages", "page_of", "rendered_page", "write_pages"]

HOSTS = Path(__file__).parents[2] / "docs" / "hosts"
WIDTH = 128


def page_of(name: str) -> Path:
    """The page of a preset."""
    return HOSTS / f"{name}.md"


def rendered_page(name: str) -> str:
    """The text of the page, as the preset has it."""
    preset = find_preset(name)
    assert preset is not None
    assert preset.page is not None
    return "\n\n".join(_blocks(preset, preset.page)) + "\n"


def _blocks(preset: Preset, page: PresetPage) -> Iterator[str]:
    yield f"# {preset.title}"
    yield _wrapped(
        f"The preset `{preset.name}` serves [{preset.title}]({page.source}) with the host daemon, `workspace-reaper run`. If "
        "the server keeps its record in its default place, one line configures it:"
    )
    yield f'```toml\nregistry = "{preset.name}"\n```'
    yield _table(preset)
    yield _wrapped(
        "`database_url`, `tmux_sockets` and `session_patterns` in the [configuration](../configuration.md) override these. "
        "[Getting started](../getting-started.md) leads from the first look to a running reaper."
    )
    for field in fields(PresetPage):
        if "heading" in field.metadata:
            yield f"## {field.metadata['heading']}"
            yield _wrapped(getattr(page, field.name))
    yield "## When this was read"
    yield _wrapped(f"In the source of {preset.title}, commit {page.snapshot}, on {page.read}.")


def _table(preset: Preset) -> str:
    rows = (("record", preset.record), ("tmux sockets", preset.sockets), ("names of sessions", preset.patterns))
    lines = [f"| {what} | {', or '.join(map(_code, some))} |" for what, some in rows]
    return "\n".join(["| | |", "|---|---|", *lines])


def _code(text: str) -> str:
    escaped = text.replace("|", "\\|")
    return f"`{escaped}`"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def outdated_pages() -> list[str]:
    """The presets whose page is missing, or not what their file has."""
    return [
        name for name in preset_names() if not page_of(name).exists() or page_of(name).read_text("utf-8") != rendered_page(name)
    ]


def write_pages() -> list[str]:
    """Write the pages that are outdated. Returns their presets."""
    names = outdated_pages()
    for name in names:
        page_of(name).write_text(rendered_page(name), encoding="utf-8")
    return names
