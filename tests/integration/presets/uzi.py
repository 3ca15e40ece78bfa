"""uzi: a map in `state.json`, whose keys are the names of sessions, as uzi gave them to tmux."""

from __future__ import annotations

from typing import Any

from tests.integration.presets.host import NOW, JsonHost

NAMES = ("john", "emily", "michael", "sarah", "david", "jessica", "johnny", "ashley")


class Host(JsonHost):
    """uzi in a repository with a dot in its name, for which tmux has an underscore."""

    schema = "uzi"
    record = ".local/share/uzi/state.json"
    ends = ("delete",)
    others = ("agent-work", "agent-site-john", "uzi")

    def new_id(self, number: int) -> str:
        return f"agent-site_js-1a2b3c4-{NAMES[number]}"

    def document(self) -> object:
        return {one.replace("_", "."): item for one, item in self.items.items()}

    def item(self, number: int, workspace_id: str, worktree: str | None) -> dict[str, Any]:
        return {
            "git_repo": "git@example.org:me/site.js.git",
            "branch_from": "main",
            "branch_name": f"{NAMES[number]}-site.js-1a2b3c4-1764000000-0",
            "prompt": "fix it",
            "worktree_path": worktree or f"{self.home}/.local/share/uzi/worktrees/{NAMES[number]}-site.js-1a2b3c4-1764000000-0",
            "model": "claude",
            "created_at": NOW,
            "updated_at": NOW,
        }
