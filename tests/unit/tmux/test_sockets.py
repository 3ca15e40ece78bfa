"""A configured socket becomes the path that tmux itself uses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.tmux.client import run
from workspace_reaper.tmux.sockets import socket_path

UID = os.getuid()


def test_an_absolute_path_stays() -> None:
    assert socket_path("/run/x/../s", {}) == "/run/x/../s"


def test_a_name(tmp_path: Path) -> None:
    assert socket_path("work", {"TMUX_TMPDIR": str(tmp_path)}) == f"{tmp_path.resolve()}/tmux-{UID}/work"
    (tmp_path / "link").symlink_to(tmp_path)
    assert socket_path("work", {"TMUX_TMPDIR": f"{tmp_path}/link"}) == f"{tmp_path.resolve()}/tmux-{UID}/work"


@pytest.mark.parametrize(
    "environ", [{}, {"TMUX_TMPDIR": ""}, {"TMUX_TMPDIR": "/no/such/place"}], ids=["unset", "empty", "missing"]
)
def test_the_place_without_tmux_tmpdir(environ: dict[str, str]) -> None:
    assert socket_path("work", environ) == f"{Path('/tmp').resolve()}/tmux-{UID}/work"


@pytest.mark.parametrize("where", ["set", "linked", "relative"])
def test_tmux_itself_looks_there(short_tmp: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    (short_tmp / "link").symlink_to(short_tmp)
    monkeypatch.chdir(short_tmp)
    monkeypatch.setenv("TMUX_TMPDIR", {"set": str(short_tmp), "linked": f"{short_tmp}/link", "relative": "."}[where])
    said = run(["-L", "no-such-server", "list-sessions"]).stderr
    assert said == f"error connecting to {socket_path('no-such-server')} (No such file or directory)\n"


@pytest.mark.parametrize("configured", ["", "a/b", "./s", ".", "..", "a\0b", "a\nb", "/a\0b"])
def test_what_is_neither(configured: str) -> None:
    with pytest.raises(ConfigurationError, match="tmux socket"):
        socket_path(configured, {})
