"""A tmux that errs for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.tools.cast import Cast
from tests.tools.front_tmux import FrontTmux

Erring = Callable[..., AbstractContextManager[FrontTmux]]


@pytest.fixture
def erring(tmp_path: Path) -> Erring:
    """``with erring(rule, …) as front:`` inside, tmux errs by these rules; outside, the real one is called, and fast."""
    front = FrontTmux(tmp_path / "front")

    @contextmanager
    def err(*rules: Mapping[str, object]) -> Iterator[FrontTmux]:
        front.rules(*rules)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", front.environment()["PATH"])
            yield front

    return err


@pytest.fixture
def cast(tmp_path: Path) -> Iterator[Cast]:
    """Programs for panes; what they start is gone with the test."""
    with Cast(tmp_path / "cast") as made:
        yield made


@pytest.fixture
def worktree(tmp_path: Path) -> Path:
    """A workspace's directory."""
    directory = tmp_path / "worktree"
    directory.mkdir()
    return directory
