"""Which answers mean "certainly no session on this socket": a golden list. Any other is Unknown."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from workspace_reaper.tmux.client import Completed
from workspace_reaper.tmux.responses import ListingOutcome, advice, certainly_absent, certainly_refused, meaning, not_ours
from workspace_reaper.tmux.sockets import own_directory_name

PATH = "/tmp/tmux-7/s"
ABSENT = f"error connecting to {PATH} (No such file or directory)\n"
REFUSED = f"no server running on {PATH}\n"
NOBODY = 65534


def completed(exit_code: int, stdout: str = "", stderr: str = "", failure: str | None = None) -> Completed:
    return Completed(("tmux",), exit_code, stdout, stderr, failure, 0.0)


GOLDEN = {
    "an answer": (completed(0, "rows"), ListingOutcome.ROWS),
    "socket absent": (completed(1, "", ABSENT), ListingOutcome.ABSENT),
    "nobody listens": (completed(1, "", REFUSED), ListingOutcome.REFUSED),
    "no session, panes asked for": (completed(1, "rows", "no current target\n"), ListingOutcome.NO_SESSION),
    "permission denied": (completed(1, "", f"error connecting to {PATH} (Permission denied)\n"), ListingOutcome.UNKNOWN),
    "not a directory": (completed(1, "", f"error connecting to {PATH} (Not a directory)\n"), ListingOutcome.UNKNOWN),
    "busy": (completed(1, "", f"error connecting to {PATH} (Resource temporarily unavailable)\n"), ListingOutcome.UNKNOWN),
    "unsafe directory": (completed(1, "", "directory /tmp/tmux-7 has unsafe permissions\n"), ListingOutcome.UNKNOWN),
    "wrong user, exit code 0": (completed(0, "", "access not allowed\n"), ListingOutcome.UNKNOWN),
    "lost server": (completed(1, "", "lost server\n"), ListingOutcome.UNKNOWN),
    "newer server": (completed(1, "", "server exited unexpectedly\n"), ListingOutcome.UNKNOWN),
    "bad command": (completed(1, "", "unknown command: list\n"), ListingOutcome.UNKNOWN),
    "nothing at all": (completed(1), ListingOutcome.UNKNOWN),
    "absent, exit code 0": (completed(0, "", ABSENT), ListingOutcome.UNKNOWN),
    "absent, with rows": (completed(1, "rows", ABSENT), ListingOutcome.UNKNOWN),
    "refused, with rows": (completed(1, "rows", REFUSED), ListingOutcome.UNKNOWN),
    "absent, another socket": (completed(1, "", ABSENT.replace("/s ", "/t ")), ListingOutcome.UNKNOWN),
    "absent, and more": (completed(1, "", ABSENT + "x\n"), ListingOutcome.UNKNOWN),
    "rows, and an error": (completed(0, "rows", "x\n"), ListingOutcome.UNKNOWN),
    "time-out": (completed(0, "rows", "", "did not answer"), ListingOutcome.UNKNOWN),
    "time-out, absent": (completed(1, "", ABSENT, "did not answer"), ListingOutcome.UNKNOWN),
}


@pytest.mark.parametrize(("answer", "expected"), GOLDEN.values(), ids=GOLDEN.keys())
def test_golden_answers(answer: Completed, expected: ListingOutcome) -> None:
    assert meaning(answer, PATH) is expected


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (completed(1, "", f"error connecting to {PATH} (Permission denied)\n"), ["Permission denied", "as the user that owns"]),
        (completed(0, "", "access not allowed\n"), ["exit code 0", "access not allowed", "as the user that owns"]),
        (completed(1, "", "server exited unexpectedly\n"), ["newer than the client"]),
        (completed(1, "", "something new\nin two lines\n"), ["exit code 1: something new / in two lines."]),
        (completed(1, "unknown command\n"), ["unknown command"]),
        (completed(1), ["exit code 1: nothing."]),
        (completed(-9, "", "", "tmux did not answer within 5 s."), ["tmux did not answer within 5 s.", "SIGSTOP"]),
    ],
    ids=["permission", "access", "newer server", "unheard of", "on stdout", "silent", "time-out"],
)
def test_an_unknown_says_what_tmux_said_and_what_to_do(answer: Completed, words: list[str]) -> None:
    for word in words:
        assert word in advice(answer)


@pytest.fixture
def listening(short_tmp: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(short_tmp / "s"))
        server.listen(1)
        yield server


def test_a_socket_nobody_listens_on(short_tmp: Path, listening: socket.socket) -> None:
    path = str(short_tmp / "s")
    assert not certainly_refused(path)
    listening.close()
    assert certainly_refused(path)
    assert not certainly_absent(path)


@pytest.mark.parametrize("kind", ["missing", "plain file", "directory", "dangling link", "long path"])
def test_what_is_no_socket_never_refuses(short_tmp: Path, kind: str) -> None:
    path = short_tmp / ("x" * 150 if kind == "long path" else "s")
    if kind == "plain file":
        path.touch()
    elif kind == "directory":
        path.mkdir()
    elif kind == "dangling link":
        path.symlink_to(short_tmp / "nowhere")
    assert not certainly_refused(str(path))
    assert certainly_absent(str(path)) == (kind in ("missing", "long path"))


def test_a_socket_whose_path_is_too_long_to_connect_to(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = short_tmp / ("x" * 150)
    monkeypatch.chdir(short_tmp)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
    (short_tmp / "s").rename(path)
    assert not certainly_refused(str(path))


def test_a_socket_is_absent_only_if_its_directory_can_be_known(short_tmp: Path) -> None:
    assert certainly_absent(f"{short_tmp}/s")
    assert not certainly_absent(f"{short_tmp}/nowhere/s")
    (short_tmp / "file").touch()
    assert not certainly_absent(f"{short_tmp}/file/s")
    assert not certainly_absent(f"{short_tmp}/file/{own_directory_name()}/s")


def test_no_tmux_since_boot(short_tmp: Path) -> None:
    assert certainly_absent(f"{short_tmp}/{own_directory_name()}/s")
    assert not certainly_absent(f"{short_tmp}/tmux-{os.getuid() + 1}/s")
    assert not certainly_absent(f"{short_tmp}/nowhere/{own_directory_name()}/s")
    (short_tmp / own_directory_name()).symlink_to(short_tmp / "nowhere")
    assert not certainly_absent(f"{short_tmp}/{own_directory_name()}/s")


def foreign(path: Path) -> Path:
    """Something that belongs to another user: only root can give a file away, and only root is not a stranger to /."""
    if os.getuid() != 0:
        return Path("/")
    os.chown(path, NOBODY, -1)
    return path


def test_the_directory_of_an_absent_socket_must_be_ours(short_tmp: Path) -> None:
    (short_tmp / "d").mkdir()
    assert not certainly_absent(f"{foreign(short_tmp / 'd')}/no-such-socket")


def test_another_users_socket(short_tmp: Path) -> None:
    (short_tmp / "s").touch()
    refusal = not_ours(str(foreign(short_tmp / "s")))
    assert refusal is not None
    assert "Run it as that user." in refusal


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_another_users_tmux_directory(short_tmp: Path) -> None:
    directory = short_tmp / "tmux-4711"
    directory.mkdir(mode=0o700)
    os.chown(directory, NOBODY, -1)
    refusal = not_ours(str(directory / "s"))
    assert refusal is not None
    assert f"uid {NOBODY}" in refusal


def test_an_unsafe_tmux_directory(short_tmp: Path) -> None:
    directory = short_tmp / own_directory_name()
    assert not_ours(str(directory / "s")) is None
    directory.mkdir(mode=0o700)
    assert not_ours(str(directory / "s")) is None
    directory.chmod(0o701)
    assert "unsafe permissions" in (not_ours(str(directory / "s")) or "")


def test_a_tmux_directory_that_is_none(short_tmp: Path) -> None:
    (short_tmp / own_directory_name()).touch()
    assert "is not a directory" in (not_ours(f"{short_tmp}/{own_directory_name()}/s") or "")


def test_a_directory_of_another_name_is_not_asked_about(short_tmp: Path) -> None:
    short_tmp.chmod(0o755)
    (short_tmp / "s").touch()
    assert not_ours(str(short_tmp / "s")) is None
