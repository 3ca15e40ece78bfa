"""claude-squad: a list in `state.json`, with the title as the only id."""

from __future__ import annotations

from typing import Any

from tests.integration.presets.host import NOW, JsonHost


class Host(JsonHost):
    """One `cs`. A title has blanks and dots, which its session has not."""

    schema = "claude-squad"
    record = ".claude-squad/state.json"
    ends = ("delete",)
    stays = ("pause",)
    others = ("claudesquad", "claude-squad_x", "work")

    def new_id(self, number: int) -> str:
        return f"Fixv1_{number}"

    @staticmethod
    def session_name(workspace_id: str) -> str:
        return f"claudesquad_{workspace_id}"

    def document(self) -> object:
        return {"help_screens_seen": 3, "instances": list(self.items.values())}

    def item(self, number: int, workspace_id: str, worktree: str | None) -> dict[str, Any]:
        title = workspace_id.replace("Fixv1_", "Fix v1.")
        return {
            "title": title,
            "path": "/srv/repository",
            "branch": "me/fix",
            "status": number % 3,
            "height": 40,
            "width": 120,
            "created_at": NOW,
            "updated_at": NOW,
            "auto_yes": False,
            "program": "claude",
            "worktree": {
                "repo_path": "/srv/repository",
                "worktree_path": worktree or "",
                "session_name": title,
                "branch_name": "me/fix",
                "base_commit_sha": "0" * 40,
                "is_existing_branch": False,
            },
            "diff_stats": {"added": 0, "removed": 0, "content": ""},
        }

    def pause(self, workspace_id: str) -> None:
        """Remove the worktree, and keep the session."""
        self.items[workspace_id] |= {"status": 3}
        self.save()
