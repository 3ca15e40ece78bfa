"""``workspace-reaper`` in this process: a fresh plugin behind the entry point, as in a fresh process."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest

import workspace_reaper
from tests.tools.world import World
from workspace_reaper.cli import main
from workspace_reaper.plugin import ReaperPlugin

__all__ = ["CommandLine", "Done", "Operator"]


@dataclass(frozen=True)
class Done:
    """How a command ended. What it printed is not decorated: its output was no terminal."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Operator(io.StringIO):
    """Somebody at a terminal, who answers each question so; ``meanwhile`` happens before the answer is given."""

    def __init__(self, answer: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        super().__init__(answer)
        self._meanwhile = meanwhile

    def isatty(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> str:
        self._meanwhile()
        return super().readline(-1 if size is None else size)


class CommandLine:
    """Runs ``workspace-reaper`` with the configuration of a world."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self._patch = monkeypatch

    def __call__(self, *arguments: str, stdin: str | Operator = "") -> Done:
        """``stdin`` as a text is a pipe."""
        return self.bare("--config", str(self.world.write_config()), *arguments, stdin=stdin)

    def bare(self, *arguments: str, stdin: str | Operator = "", config: str | None = "/nowhere") -> Done:
        """Without ``--config``. ``config`` is the file that the environment names, None if it names none."""
        plugin = ReaperPlugin()
        out, err = io.StringIO(), io.StringIO()
        with self._patch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            # It leaves the path of the configuration in the environment, for what it may start.
            patch.setenv("WORKSPACE_REAPER_CONFIG", config or "")
            if config is None:
                patch.delenv("WORKSPACE_REAPER_CONFIG")
            patch.setattr(workspace_reaper, "plugin", plugin)
            patch.setattr(sys, "argv", ["workspace-reaper", *arguments])
            patch.setattr(sys, "stdin", io.StringIO(stdin) if isinstance(stdin, str) else stdin)
            try:
                main()
                code: object = 0
            except SystemExit as ended:
                code = ended.code or 0
        plugin.close()
        assert isinstance(code, int)
        assert "\x1b" not in out.getvalue() + err.getvalue(), "no colour, and no control character of a name"
        assert "Traceback" not in err.getvalue()
        return Done(code, out.getvalue(), err.getvalue())
