"""Loads all that a sweep loads late, so that a process forked afterwards need not. Import it for that alone."""

from __future__ import annotations

import workspace_reaper.ledger.sqlite
import workspace_reaper.parts
import workspace_reaper.registry.vibe_kanban
import workspace_reaper.settings.sources
import workspace_reaper.tmux.server
import workspace_reaper.wiring  # noqa: F401
