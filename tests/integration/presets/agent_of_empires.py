"""Agent of Empires: a list in `sessions.json`, one for each profile, and four kinds of sessions."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.presets.host import NOW, JsonHost


class Host(JsonHost):
    """Two profiles on Linux. It writes another file and renames it, and leaves out what is not set."""

    schema = "agent-of-empires"
    record = ".config/agent-of-empires/profiles/main/sessions.json"
    others = ("aoe", "aoe_dev_Fix_login_000000aa", "aoe_Fix_login", "work")

    def create(self) -> None:
        super().create()
        other = self.file.parents[1] / "other" / "sessions.json"
        other.parent.mkdir(parents=True)
        other.write_text("[]")

    def new_id(self, number: int) -> str:
        return f"{number:08x}"

    @staticmethod
    def session_name(workspace_id: str) -> str:
        return f"aoe_Fix_login_{workspace_id}"

    def further_names(self, workspace_id: str) -> list[str]:
        return [f"aoe_{kind}_Fix_login_{workspace_id}" for kind in ("term", "cterm", "tool_lazygit")]

    def document(self) -> object:
        return list(self.items.values())

    def item(self, number: int, workspace_id: str, worktree: str | None) -> dict[str, Any]:
        item: dict[str, Any] = {
            "id": f"{workspace_id}89abcdef",
            "title": "Fix login",
            "project_path": worktree or "/srv/repository",
            "group_path": "",
            "command": "claude",
            "tool": "claude",
            "yolo_mode": False,
            "status": "idle",
            "created_at": NOW,
        }
        if worktree:
            item["worktree_info"] = {
                "branch": "fix",
                "main_repo_path": "/srv/repository",
                "managed_by_aoe": True,
                "created_at": NOW,
            }
        return item

    def archive(self, workspace_id: str) -> None:
        self.items[workspace_id]["archived_at"] = NOW
        self.save()

    def save(self) -> None:
        new = self.file.with_name(".sessions.json.tmp")
        new.write_text(json.dumps(self.document(), indent=2))
        new.replace(self.file)
