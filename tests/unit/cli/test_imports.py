"""What a command imports: those that read the ledger alone do without the libraries of the host's database and
without the adapters that sweep and restore."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

HEAVY = ("sqlalchemy", "sqlmodel", "psycopg", "psutil", "workspace_reaper.tmux.pane_input", "workspace_reaper.tmux.restore")
_OWN = ("processes.linux", "snapshots.store", "sweep.context", "tmux.terminal")
SWEEPING = tuple(f"workspace_reaper.{name}" for name in _OWN)
SCRIPT = f"""
import sys
from workspace_reaper.cli import main
try:
    main()
except SystemExit as end:
    print("code", end.code, file=sys.stderr)
print("loaded", *(name for name in {HEAVY + SWEEPING!r} if name in sys.modules), file=sys.stderr)
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
def test_a_command_that_reads_the_ledger_loads_no_library_of_databases_and_no_adapter_that_it_does_not_use(
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
    ended, loaded = done.stderr.splitlines()[-2:]
    assert ended == f"code {code}", done.stderr
    reads_the_ledger_alone = command[0] in ("status", "breaker")
    assert set(loaded.split()[1:]) <= (set() if reads_the_ledger_alone else set(SWEEPING))
