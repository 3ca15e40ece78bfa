"""What a command imports: those that read the ledger alone do without the libraries of the host's database and
without what restores sessions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RESTORING = ("workspace_reaper.tmux.pane_input", "workspace_reaper.tmux.restore")
HEAVY = ("sqlalchemy", "sqlmodel", "psycopg", "psutil", *RESTORING)
SCRIPT = f"""
import sys
from workspace_reaper.cli import main
try:
    main()
except SystemExit as end:
    print("code", end.code, file=sys.stderr)
print("loaded", *(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("status", "--check"), 3),
        (("status", "--json"), 0),
        (("history",), 0),
        (("show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), 2),
        (("breaker",), 0),
        (("keep", "nothing"), 2),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_a_command_that_reads_the_ledger_loads_neither_libraries_of_databases_nor_what_restores(
    tmp_path: Path, command: tuple[str, ...], code: int
) -> None:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "WORKSPACE_REAPER_STATE_DIR": str(tmp_path / "state"),
        "WORKSPACE_REAPER_DATABASE_URL": str(tmp_path / "host.sqlite"),
        "WORKSPACE_REAPER_TMUX_SOCKETS": f'["{tmp_path}/socket"]',
    }
    done = subprocess.run([sys.executable, "-c", SCRIPT, *command], env=env, capture_output=True, text=True)
    assert done.stderr.splitlines()[-2:] == [f"code {code}", "loaded"], done.stderr
