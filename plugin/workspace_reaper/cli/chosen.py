"""What the options before the command say."""

from __future__ import annotations

from pathlib import Path

import typer

__all__ = ["chosen_config"]


def chosen_config(context: typer.Context) -> Path | None:
    """The file that ``--config`` names."""
    # Older versions of Typer keep the text here, and give the path to the callback only.
    config: str | Path | None = context.find_root().params["config"]
    return None if config is None else Path(config)
