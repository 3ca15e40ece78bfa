"""The tmux pane that an environment names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspace_reaper.model.process import Origin
from workspace_reaper.processes.origin import OriginReader, read_origin

INSIDE = b"TMUX=/s,1,2\0TMUX_PANE=%3\0"
ORIGIN = Origin("/s", 1, 2, "%3")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param(INSIDE, ORIGIN, id="alone"),
        pytest.param(b"A=1\0" + INSIDE + b"B=2\0", ORIGIN, id="in the middle"),
        pytest.param(b"TMUX_PANE=%3\0A=1\0TMUX=/s,1,2\0", ORIGIN, id="the pane first"),
        pytest.param(b"TMUX=/\xff,1,2\0TMUX_PANE=%3\0", Origin("/\udcff", 1, 2, "%3"), id="a path that is no text"),
        pytest.param(b"", None, id="empty"),
        pytest.param(b"TMUX=/s,1,2\0TMUX_PANE=%31", None, id="cut off in the pane: it may be %312"),
        pytest.param(b"TMUX_PANE=%3\0TMUX=/s,1,23", None, id="cut off in the session: it may be 234"),
        pytest.param(b"XTMUX=/s,1,2\0XTMUX_PANE=%3\0", None, id="other names"),
        pytest.param(b"XTMUX=/x,9,9\0XTMUX_PANE=%9\0" + INSIDE, ORIGIN, id="other names first"),
        pytest.param(b"A=TMUX=/s,1,2\0B=TMUX_PANE=%3\0", None, id="values"),
        pytest.param(INSIDE[:-1].replace(b"\0", b"\n") + b"\0", None, id="newlines"),
    ],
)
def test_an_environment(environ: bytes, expected: Origin | None) -> None:
    origins = OriginReader()
    assert origins.read(environ) == origins.read(environ) == expected


@given(st.binary(max_size=80))
def test_any_environment_is_read_without_an_error(data: bytes) -> None:
    OriginReader().read(data)
    OriginReader().read(b"TMUX=" + data + b"\0TMUX_PANE=%" + data + b"\0")


@given(st.text(max_size=40), st.text(max_size=20))
def test_any_text_is_read_without_an_error(tmux: str, pane: str) -> None:
    read_origin(f"/{tmux}", f"%{pane}")
