"""Why the demo could not be shown."""

from __future__ import annotations

from workspace_reaper.model.errors import ReaperError

__all__ = ["DemoFailed"]


class DemoFailed(ReaperError):
    """Something that the demo needs is missing or does not work. Its text is a sentence for a person."""
