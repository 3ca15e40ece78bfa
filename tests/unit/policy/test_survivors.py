"""Who is never signalled, each for its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tools.builders import process
from workspace_reaper.policy.survivors import LOGIN_DAEMONS, Suspect, spared_because

SERVER = Suspect(process(500, name="node"), pane_lives=False, uids={1000}, descendant=True, in_worktree=True)
"""What a pane's shell started, and what has outlived it."""

ESCAPED = replace(SERVER, descendant=False)


def spared(suspect: Suspect, *, own_pids: tuple[int, ...] = (77,), everywhere: bool = False) -> str | None:
    return spared_because(suspect, own_uid=1000, own_pids=own_pids, everywhere=everywhere)


def named(name: str) -> Suspect:
    return replace(SERVER, process=process(500, name=name))


def test_what_was_below_a_pane_goes_wherever_it_works() -> None:
    assert spared(SERVER) is None
    assert spared(replace(SERVER, in_worktree=False)) is None


@pytest.mark.parametrize(
    ("suspect", "why"),
    [
        (replace(SERVER, process=process(1)), "first process"),
        (replace(SERVER, process=process(77)), "the reaper"),
        (named("tmux: server"), "a tmux"),
        (named("tmux: client"), "a tmux"),
        (replace(SERVER, pane_lives=True), "still shows its pane"),
        (replace(SERVER, uids={0}), "another user"),
        (replace(SERVER, uids={1000, 0}), "another user"),
        (replace(SERVER, uids=None), "its user cannot be read"),
        (replace(ESCAPED, in_worktree=False), "outside"),
        (replace(ESCAPED, in_worktree=None), "not known"),
    ],
    ids=["init", "reaper", "server", "client", "pane", "user", "setuid", "hidden", "elsewhere", "no worktree"],
)
def test_who_is_never_signalled(suspect: Suspect, why: str) -> None:
    told = spared(suspect)
    assert told is not None
    assert why in told


@pytest.mark.parametrize("name", sorted(LOGIN_DAEMONS))
@pytest.mark.parametrize("everywhere", [False, True], ids=["worktree", "all"])
def test_a_daemon_of_the_login_stays_whatever_the_setting_says(name: str, everywhere: bool) -> None:
    assert spared(named(name), everywhere=everywhere) == LOGIN_DAEMONS[name]


def test_the_kernel_cuts_names_at_15_bytes() -> None:
    assert all(len(name.encode()) <= 15 for name in LOGIN_DAEMONS)
    assert all(LOGIN_DAEMONS.values())


def test_what_escaped_goes_in_the_worktree_or_if_the_setting_says_all() -> None:
    assert spared(ESCAPED) is None
    assert spared(replace(ESCAPED, in_worktree=False), everywhere=True) is None
    assert spared(replace(ESCAPED, in_worktree=None), everywhere=True) is None
