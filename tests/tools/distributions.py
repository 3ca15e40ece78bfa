"""Real distributions, as an installer leaves them: modules beside a ``.dist-info`` with entry points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["install"]


def install(site: Path, name: str, modules: Mapping[str, str], entry_points: str) -> None:
    """Put the modules (name to source) and the metadata of a distribution into ``site``, a directory on ``sys.path``."""
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")
    for module, source in modules.items():
        (site / f"{module}.py").write_text(source, encoding="utf-8")
