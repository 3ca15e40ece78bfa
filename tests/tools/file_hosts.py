"""Hosts that keep their workspaces in files: a list, a map, or a file for each workspace; in JSON, TOML or YAML."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from tests.tools.hosts import Host
from workspace_reaper.model.workspace import HostFiles

__all__ = ["FILE_HOSTS", "FilesHost", "FolderHost", "MapHost", "TomlHost", "YamlHost", "saved"]


def saved(path: Path, text: str | bytes) -> None:
    """Save a file as most hosts do: write another one, and rename it."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(text.encode() if isinstance(text, str) else text)
    new.replace(path)


class FilesHost(Host):
    """A host with one file, a list in JSON. It writes the file as a whole."""

    schema = "files"
    ending = ".json"
    id_expression = "value->>'id'"
    items: str | None = "$.instances"

    def __init__(self, path: Path, server: str | None = None) -> None:
        assert server is None
        super().__init__(path.with_suffix(self.ending))
        self.rows: dict[str, dict[str, Any]] = {}

    @property
    def files(self) -> HostFiles:
        """What the configuration says."""
        return HostFiles(
            (self.pattern,),
            self.id_expression,
            "text",
            items=self.items,
            archived="value->>'state' = 'archived'",
            deleted="value->>'removed_at' IS NOT NULL",
            pinned="value->>'starred'",
            running="value->>'state' = 'busy'",
            worktree_deleted="value->>'state' = 'bare'",
            worktree="value->>'directory'",
        )

    @property
    def pattern(self) -> str:
        """What ``paths`` says."""
        return str(self.path)

    @property
    def settings(self) -> dict[str, object]:
        """What names this host in a configuration."""
        described = {key: value for key, value in asdict(self.files).items() if value is not None}
        return {"registry": "files", "files": described, "session_patterns": ["ws-(?P<id>[A-Za-z0-9-]+)"]}

    def create(self) -> None:
        self.write()

    def new_id(self, number: int) -> str:
        return f"w{number}"

    @staticmethod
    def session_name(workspace_id: str) -> str:
        return f"ws-{workspace_id}"

    def insert(self, ids: Sequence[str], *, archived: bool = False, pinned: bool = False, worktree: str | None = None) -> None:
        state = "archived" if archived else "open"
        for one in ids:
            row = {"id": one, "state": state, "starred": pinned, "directory": worktree, "removed_at": None}
            self.rows[one] = row
        self.write()

    def delete(self, *ids: str) -> None:
        for one in ids:
            del self.rows[one]
        self.write()

    def archive(self, workspace_id: str, *, on: bool = True) -> None:
        self._set(workspace_id, "state", "archived" if on else "open")

    def pin(self, workspace_id: str, *, on: bool = True) -> None:
        self._set(workspace_id, "starred", on)

    def run(self, workspace_id: str, *, on: bool = True) -> None:
        self._set(workspace_id, "state", "busy" if on else "open")

    def delete_worktree(self, workspace_id: str) -> None:
        self._set(workspace_id, "state", "bare")

    def flag_deleted(self, workspace_id: str) -> None:
        self._set(workspace_id, "removed_at", "2026-11-22T10:00:00Z")

    def write(self) -> None:
        """Save the file."""
        saved(self.path, self.text())

    def text(self) -> str:
        """What the file contains."""
        return json.dumps({"version": 1, "instances": list(self.rows.values())})

    def _set(self, workspace_id: str, key: str, value: object) -> None:
        self.rows[workspace_id][key] = value
        self.write()


class MapHost(FilesHost):
    """A map in JSON, whose keys are the ids."""

    id_expression = "key"

    def text(self) -> str:
        return json.dumps({"instances": self.rows})


class TomlHost(FilesHost):
    """A list in TOML."""

    ending = ".toml"

    def text(self) -> str:
        return "version = 1\ninstances = []\n" if not self.rows else "".join(map(_toml_table, self.rows.values()))


class YamlHost(FilesHost):
    """A list in YAML."""

    ending = ".yaml"

    def text(self) -> str:
        return yaml.safe_dump({"version": 1, "instances": list(self.rows.values())})


class FolderHost(FilesHost):
    """A file for each workspace, in a directory for each."""

    items = None

    def __init__(self, path: Path, server: str | None = None) -> None:
        super().__init__(path, server)
        self.folder = path.with_name("agents")

    @property
    def pattern(self) -> str:
        return str(self.folder / "*" / "data.json")

    def file_of(self, workspace_id: str) -> Path:
        """The file of a workspace."""
        return self.folder / workspace_id / "data.json"

    def write(self) -> None:
        self.folder.mkdir(exist_ok=True)
        for one in [path.parent.name for path in self.folder.glob("*/data.json") if path.parent.name not in self.rows]:
            self.file_of(one).unlink()
        for one, row in self.rows.items():
            file, text = self.file_of(one), json.dumps(row)
            file.parent.mkdir(exist_ok=True)
            if not file.exists() or file.read_text() != text:
                saved(file, text)


FILE_HOSTS: Mapping[str, type[FilesHost]] = {
    "files": FilesHost,
    "files-map": MapHost,
    "files-folder": FolderHost,
    "files-toml": TomlHost,
    "files-yaml": YamlHost,
}


def _toml_table(row: Mapping[str, Any]) -> str:
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in row.items() if value is not None]
    return f"[[instances]]\n{''.join(lines)}{os.linesep}"
