"""A ``tmux`` in front of the real one: a program that passes everything on, and errs where a test's rules say so.

In a test::

    front = FrontTmux(tmp_path / "front")        # writes an executable ``tmux`` there
    front.rules(Rule("list-sessions", times=1, stderr="lost server\\n", exit_code=1))
    environ["PATH"] = f"{front.bin}:{environ['PATH']}"

Each call takes the first rule that fits it and is not used up. Every call is recorded: ``front.calls()``. A ``source-file -``
becomes a call when its standard input has come: a client that was started ahead waits for that.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import sys
import time

# The program itself starts with every tmux command of a test, and must start fast: it imports late what it rarely needs.
# With json, which imports re, and tempfile it took three times as long.
# ruff: noqa: PTH110, PTH118, PTH122, PTH123 - pathlib alone would cost a third of its start
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["FrontTmux", "Rule"]


def Rule(  # noqa: N802 - it reads as the thing that it makes
    command: str | None = None,
    *,
    said: str | None = None,
    skip: int = 0,
    times: int | None = None,
    replace: Mapping[str, str] | None = None,
    sessions: Sequence[str] | None = None,
    kind: str | None = None,
    duplicate: Sequence[str] = (),
    drop: Sequence[str] = (),
    keep_lines: int | None = None,
    keep_bytes: int | None = None,
    stdout: str = "",
    stderr: str = "",
    exit_code: int | None = None,
    signal_number: int | None = None,
    delay: float = 0.0,
    each: float = 0.0,
    real: bool = True,
    hold: str | None = None,
) -> dict[str, object]:
    """One way to err.

    ``command``: only for calls with this tmux command among their arguments, or on their standard input. ``said``: only for
    those with this text on their standard input. ``skip``: the first
    so many fitting calls are left alone; ``age_clock``: only so many after these.

    The output of a listing is edited row by row, by the format (``-F``) that the caller asked for: ``replace`` puts another
    value in the place of a format's token (``{"#{session_activity}": ""}``), for the ``sessions`` with these names, or for
    all; ``duplicate`` and ``drop`` do what they say to the rows of the sessions with these names. Panes' rows belong to
    their session; ``kind`` narrows all this to the rows whose first field is that text. ``keep_lines`` and ``keep_bytes``
    (negative: counted from the end) then cut it. ``stdout`` and ``stderr`` are printed after that.

    ``exit_code`` and ``signal_number`` are how the call ends. ``delay`` seconds go by first; ``each`` seconds before each line
    of its standard input, which then go to the real tmux one by one (``FrontTmux.lines``). ``real=False``: the real tmux is
    not asked at all. ``hold``: ``"before"`` or ``"after"`` the real tmux the call waits for ``FrontTmux.release``.
    """
    rule = dict(locals())
    return {name: value if not isinstance(value, tuple) else list(value) for name, value in rule.items()}


class FrontTmux:
    """An executable ``tmux`` in ``directory/bin`` and its rules beside it."""

    def __init__(self, directory: Path, real: str | None = None) -> None:
        import shutil

        self.directory = directory
        self.bin = directory / "bin"
        self.bin.mkdir(parents=True)
        self._real = real or shutil.which("tmux")
        assert self._real, "the tests need tmux"
        self.rules()
        program = self.bin / "tmux"
        folder, module = os.path.split(os.path.splitext(__file__)[0])
        # As a module, whose compiled form Python keeps; it compiles the file of a program at each start.
        start = f"import sys; sys.path.append({folder!r}); import {module}; sys.exit({module}.main(*sys.argv[1:]))"
        program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -IS -c \"{start}\" '{directory}' \"$@\"\n")
        program.chmod(0o755)

    def rules(self, *rules: Mapping[str, object]) -> None:
        """These rules from now on, with nothing of them used up; without any, it passes everything on."""
        for name in ("held", "go"):
            (self.directory / name).unlink(missing_ok=True)
        state = {"real": self._real, "rules": [dict(rule) for rule in rules], "fitted": [0] * len(rules)}
        with _locked(self.directory):
            (self.directory / "rules").write_bytes(marshal.dumps(state))

    def environment(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The environment with this tmux first on PATH."""
        return {**environ, "PATH": f"{self.bin}{os.pathsep}{environ['PATH']}"}

    def calls(self) -> list[list[str]]:
        """The arguments of every call so far, and behind them those of ``_TOLD`` that its standard input held."""
        log = self.directory / "calls"
        found: list[list[str]] = []
        if log.exists():
            with log.open("rb") as records:
                while records.peek(1):
                    found.append(marshal.load(records))
        return found

    def lines(self) -> list[str]:
        """The lines of standard input that went to the real tmux one by one."""
        log = self.directory / "lines"
        return log.read_text().splitlines() if log.exists() else []

    def is_held(self) -> bool:
        """A call waits for ``release``."""
        return (self.directory / "held").exists()

    def release(self) -> None:
        """Let the call that waits, and all that would, go on."""
        (self.directory / "go").touch()


_TOLD = ("kill-session", "capture-pane", "set-option")
"""Commands that are told apart where they come on standard input."""


class _locked:  # noqa: N801 - a context manager
    def __init__(self, directory: str | Path) -> None:
        self._path = os.path.join(directory, "lock")

    def __enter__(self) -> None:
        self._file = open(self._path, "w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _take_rule(directory: str, arguments: list[str], said: bytes) -> tuple[str, dict | None]:
    """The real tmux, and the rule for this call, which is counted as used. Several calls may run at once."""
    with _locked(directory):
        with open(f"{directory}/rules", "rb") as rules:
            state = marshal.load(rules)
        # The version is asked once for each reaper, and is no call unless a rule names it.
        if arguments == ["-V"] and all(rule["command"] != "-V" for rule in state["rules"]):
            return state["real"], None
        with open(f"{directory}/calls", "ab") as log:
            marshal.dump([*arguments, *(word for word in _TOLD if word.encode() in said)], log)
        for at, rule in enumerate(state["rules"]):
            command = rule["command"]
            if command is not None and command not in arguments and command.encode() not in said:
                continue
            if rule["said"] is not None and rule["said"].encode() not in said:
                continue
            fitted = state["fitted"][at] = state["fitted"][at] + 1
            with open(f"{directory}/rules", "wb") as rules:
                marshal.dump(state, rules)
            if fitted > rule["skip"] and (rule["times"] is None or fitted <= rule["skip"] + rule["times"]):
                return state["real"], rule
        return state["real"], None


def _hold(directory: str, rule: dict, moment: str) -> None:
    if rule["hold"] == moment:
        open(f"{directory}/held", "w").close()
        # Whoever waits for it may have been killed, as some tests do: it must not wait for ever.
        until = time.monotonic() + 120
        while not os.path.exists(f"{directory}/go") and time.monotonic() < until:
            time.sleep(0.005)


def _edit(rule: dict, arguments: list[str], output: bytes) -> bytes:
    formats = [value.split("\t") for flag, value in zip(arguments, arguments[1:], strict=False) if flag == "-F"]  # noqa: RUF007
    lines = output.decode("utf-8", "surrogateescape").split("\n")
    rest = lines.pop()
    names: dict[str, str] = {}
    edited: list[str] = []
    for line in lines:
        values = line.split("\t")
        tokens = next((tokens for tokens in formats if _fits(tokens, values)), None)
        if tokens is None:
            edited.append(line)
            continue
        session_id = values[tokens.index("#{session_id}")] if "#{session_id}" in tokens else ""
        if "#{session_name}" in tokens:
            names[session_id] = values[tokens.index("#{session_name}")]
        name = names.get(session_id)
        if rule["kind"] not in (None, values[0]):
            edited.append(line)
            continue
        if name in rule["drop"]:
            continue
        if rule["replace"] and (rule["sessions"] is None or name in rule["sessions"]):
            values = [rule["replace"].get(token, value) for token, value in zip(tokens, values, strict=True)]
        edited += ["\t".join(values)] * (2 if name in rule["duplicate"] else 1)
    if rule["keep_lines"] is not None:
        edited = edited[: rule["keep_lines"]]
    text = "".join(line + "\n" for line in edited) + rest
    return text.encode("utf-8", "surrogateescape")[: rule["keep_bytes"]] + rule["stdout"].encode()


def _fits(tokens: list[str], values: list[str]) -> bool:
    """A row belongs to a format if it has as many fields, and the same ones where the format is plain text."""
    return len(tokens) == len(values) and all(
        "#{" in token or token == value for token, value in zip(tokens, values, strict=True)
    )


def _edits(rule: dict) -> bool:
    return any(rule[name] for name in ("replace", "duplicate", "drop", "stdout", "stderr")) or any(
        rule[name] is not None for name in ("keep_lines", "keep_bytes")
    )


def _spool() -> bytes:
    """Wait for all of standard input and put it back as a file."""
    data = sys.stdin.buffer.read()
    import tempfile

    with tempfile.TemporaryFile() as spool:
        spool.write(data)
        spool.seek(0)
        os.dup2(spool.fileno(), 0)
    return data


def main(directory: str, *words: str) -> int:
    """Be ``tmux`` with these arguments."""
    arguments = [*words]
    # A client that was started ahead is a call from when it is told what to do; one that never is, is none.
    said = _spool() if "source-file" in arguments else b""
    if "source-file" in arguments and not said:
        return 0
    real, rule = _take_rule(directory, arguments, said)
    if rule is None:
        os.execv(real, [real, *arguments])
    time.sleep(rule["delay"])
    _hold(directory, rule, "before")
    if rule["each"]:
        return _one_by_one(directory, real, arguments, said, rule["each"])
    ends_by_itself = rule["exit_code"] is None and rule["signal_number"] is None and rule["hold"] != "after"
    if rule["real"] and ends_by_itself:
        if _edits(rule):
            _filter(rule, arguments)
        os.execv(real, [real, *arguments])
    code, output = 0, b""
    if rule["real"]:
        import subprocess

        done = subprocess.run([real, *arguments], stdout=subprocess.PIPE, check=False)
        code, output = done.returncode, done.stdout
    _hold(directory, rule, "after")
    _write(rule, arguments, output)
    if rule["signal_number"] is not None:
        os.kill(os.getpid(), rule["signal_number"])
    return code if rule["exit_code"] is None else rule["exit_code"]


def _one_by_one(directory: str, real: str, arguments: list[str], said: bytes, seconds: float) -> int:
    """As a tmux that takes so long for each line: a caller that gives up finds done what was done until then."""
    import subprocess

    for line in said.splitlines(keepends=True):
        time.sleep(seconds)
        with open(f"{directory}/lines", "ab") as log:
            log.write(line)
        subprocess.run([real, *arguments], input=line, check=False)
    return 0


def _filter(rule: dict, arguments: list[str]) -> None:
    """Fork the editor off and go on as the real tmux: a caller that kills its tmux then kills the real one."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(reading)
        os.dup2(writing, 1)
        os.close(writing)
        return
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        _write(rule, arguments, stream.read())
    os._exit(0)


def _write(rule: dict, arguments: list[str], output: bytes) -> None:
    sys.stdout.buffer.write(_edit(rule, arguments, output))
    sys.stdout.buffer.flush()
    os.write(2, rule["stderr"].encode())
