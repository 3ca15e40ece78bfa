"""The lines that are sent to tmux, and the parsing of its answers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.verdict import Expiry, Guard, KillResult
from workspace_reaper.tmux.commands import (
    adopt_line,
    check_owner_id,
    keep_line,
    kill_line,
    mark_line,
    own_options_line,
    read_answers,
    read_kept,
    read_own_options,
    read_taken,
    release_line,
)

KEY = SessionKey("/tmp/s", 77, 1000, "$5", 1001)
BARE = Guard(KEY, activity=None, unattached=False, quiet_since=None, all_panes_dead=False)
EXPIRY = Expiry(listed_at=1100)
IDENTITY = ["#{==:#{pid},77}", "#{==:#{start_time},1000}", "#{==:#{session_created},1001}"]
VALID = ["#{e|<:#{T:#{l:%s}},1105}", "#{e|>:#{T:#{l:%s}},1098}"]
ALWAYS = [*IDENTITY, *VALID, "#{==:#{@reaper_keep},}"]
UNATTACHED = ["#{==:#{session_attached},0}", "#{==:#{session_attached_list},}", "#{==:#{session_group_attached_list},}"]
TERMS = {
    "bare": (BARE, []),
    "activity": (replace(BARE, activity=1002), ["#{==:#{session_activity},1002}"]),
    "unattached": (replace(BARE, unattached=True), UNATTACHED),
    "quiet": (replace(BARE, quiet_since=99), ["#{==:#{W:#{?#{e|>:#{window_activity},99},1,}},}"]),
    "dead": (replace(BARE, all_panes_dead=True), ["#{==:#{W:#{P:#{?pane_dead,,1}}},}"]),
    "ungrouped": (replace(BARE, ungrouped=True), ["#{==:#{session_group},}"]),
    "no owner": (replace(BARE, owner=""), ["#{==:#{@workspace_owner},}"]),
    "owner": (replace(BARE, owner="0ab"), ["#{==:#{@workspace_owner},0ab}"]),
    "no workspace": (replace(BARE, workspace=""), ["#{==:#{@reaper_workspace},}"]),
    "workspace": (replace(BARE, workspace="7731"), ["#{==:#{@reaper_workspace},7731}"]),
}


def flattened(condition: str) -> list[str]:
    """The terms of a nest of ``#{&&:a,b}``."""
    if not condition.startswith("#{&&:"):
        return [condition]
    inside, depth = condition[len("#{&&:") : -1], 0
    commas = []
    for at, character in enumerate(inside):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            commas.append(at)
    (comma,) = commas  # two at a time: a third would be ignored by tmux
    return flattened(inside[:comma]) + flattened(inside[comma + 1 :])


def terms_of(line: str) -> list[str]:
    start, end = "#{?#{==:#{session_id},$5},", ",0}"
    condition = line.split("'")[3]
    assert condition.startswith(start)
    assert condition.endswith(end)
    return flattened(condition[len(start) : -len(end)])


@pytest.mark.parametrize(("guard", "terms"), TERMS.values(), ids=TERMS.keys())
def test_a_guard_carries_exactly_its_terms(guard: Guard, terms: list[str]) -> None:
    assert terms_of(kill_line(guard, EXPIRY)) == [*ALWAYS, *terms]


def test_the_line_for_deleted() -> None:
    identity = f"#{{&&:#{{&&:{ALWAYS[0]},{ALWAYS[1]}}},#{{&&:{ALWAYS[2]},{ALWAYS[3]}}}}}"
    condition = f"#{{&&:{identity},#{{&&:{ALWAYS[4]},{ALWAYS[5]}}}}}"
    assert kill_line(BARE, EXPIRY) == (
        f"if-shell -F -t '$5:' '#{{?#{{==:#{{session_id}},$5}},{condition},0}}' "
        """'kill-session -t $5 ; display-message -p "killed $5"' """
        "'display-message -p -t $5: \"spared $5 #{T:#{l:%s}} #{session_id}\"'\n"
    )


def test_all_terms_together() -> None:
    guard = Guard(
        KEY, activity=1002, unattached=True, quiet_since=99, all_panes_dead=True, owner="0ab", workspace="7731", ungrouped=True
    )
    terms = (term for name, (_, terms) in TERMS.items() if not name.startswith("no ") for term in terms)
    assert terms_of(kill_line(guard, EXPIRY)) == [*ALWAYS, *terms]


BAD_VALUES: dict[str, Any] = {
    "a name": replace(BARE, key=KEY._replace(session_id="work")),
    "without digits": replace(BARE, key=KEY._replace(session_id="$")),
    "a window": replace(BARE, key=KEY._replace(session_id="$1:1")),
    "a second line": replace(BARE, key=KEY._replace(session_id="$1\nkill-server")),
    "fullwidth digits": replace(BARE, key=KEY._replace(session_id="$\uff11")),
    "a text": replace(BARE, key=KEY._replace(server_pid="1} kill-server")),
    "a float": replace(BARE, key=KEY._replace(server_start=1.5)),
    "a bool": replace(BARE, key=KEY._replace(created=True)),
    "a negative number": replace(BARE, activity=-1),
    "a word": replace(BARE, quiet_since="now"),
    "an owner that is no id": replace(BARE, owner="a,b"),
    "a workspace in words": replace(BARE, workspace="w1"),
}


@pytest.mark.parametrize("guard", BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_only_ids_and_numbers_enter_a_command(guard: Guard) -> None:
    with pytest.raises(ValueError, match="invalid"):
        kill_line(guard, EXPIRY)


def test_only_a_number_is_the_time_of_an_expiry() -> None:
    for bad in (Expiry(1.5), Expiry(1), Expiry(100, -200)):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="invalid"):
            kill_line(BARE, bad)


@pytest.mark.parametrize("owner_id", ["", "g", "AB", "a b", "ab\n", "}"])
def test_an_owner_id_is_hexadecimal(owner_id: str) -> None:
    with pytest.raises(ValueError, match="is not an owner id"):
        check_owner_id(owner_id)
    with pytest.raises(ValueError, match="is not an owner id"):
        mark_line(KEY, owner_id, "0ab")
    with pytest.raises(ValueError, match=r"is not an owner id|invalid value"):
        mark_line(KEY, "7731", owner_id)


MARKS = (
    "set-option -t $5: @workspace_owner 0ab ; set-option -t $5: @reaper_workspace 7731 ; "
    'set-option -F -t $5: @reaper_self "#{session_id}/#{session_created}/#{pid}"'
)


def test_marking_and_keeping_ask_for_the_identity() -> None:
    line = mark_line(KEY, "7731", "0ab")
    assert terms_of(line) == [*IDENTITY, "#{||:#{==:#{@workspace_owner},},#{==:#{@workspace_owner},0ab}}"]
    assert f"'{MARKS}'" in line
    for on in (True, False):
        assert terms_of(keep_line(KEY, on=on)) == IDENTITY


UNSET = " ; ".join(f"set-option -u -t $5: {option}" for option in ("@workspace_owner", "@reaper_workspace", "@reaper_self"))


@pytest.mark.parametrize(
    ("line", "change", "result"),
    [
        (adopt_line(KEY, "feed", "7731", "0ab"), MARKS, "#{==:#{@workspace_owner},0ab}"),
        (release_line(KEY, "feed"), UNSET, "#{==:#{@workspace_owner},}"),
    ],
    ids=["ours", "none"],
)
def test_taking_over_asks_for_the_owner_that_was_seen(line: str, change: str, result: str) -> None:
    assert terms_of(line) == [*IDENTITY, "#{==:#{@workspace_owner},feed}"]
    assert f"'{change} ; display-message -p -t $5: \"taken $5 #{{?{result},1,0}}\"'" in line


@pytest.mark.parametrize("bad", ["", "a b", "}"])
def test_only_owner_ids_are_taken_over(bad: str) -> None:
    for act in (partial(release_line, KEY, bad), partial(adopt_line, KEY, bad, "7731", "0ab")):
        with pytest.raises(ValueError, match="is not an owner id"):
            act()
    for act in (partial(adopt_line, KEY, "feed", bad, "0ab"), partial(adopt_line, KEY, "feed", "7731", bad)):
        with pytest.raises(ValueError, match="is not an owner id"):
            act()


def test_the_options_of_the_session_itself() -> None:
    assert terms_of(own_options_line(KEY)) == IDENTITY
    other, cut = KEY._replace(session_id="$6"), KEY._replace(session_id="$7")
    printed = (
        "own $5\n@reaper_keep 1\n@workspace_owner \"a\\nend $5\"\nend $5\nown $6\nstatus off\n@reaper_keep ''\nend $6\n"
        "own $9\nend $9\nown $7\n@reaper_keep 1"
    )
    assert read_own_options(printed, [KEY, other, cut]) == {
        KEY: {"@reaper_keep": "1", "@workspace_owner": "anend $5"},
        other: {"@reaper_keep": ""},
    }


def test_which_were_taken_over() -> None:
    assert read_taken("taken $5 1\ntaken $6 0\ntaken $7 \n") == {"$5"}


ANSWERS = {
    "killed": ("killed $5\n", {"$5": KillResult.KILLED}),
    "spared": ("spared $5 1100 $5\n", {"$5": KillResult.SPARED}),
    "spared in the last second": ("spared $5 1104 $5\n", {"$5": KillResult.SPARED}),
    "expired": ("spared $5 1105 $5\n", {"$5": KillResult.STALE}),
    "a clock that was set back": ("spared $5 1098 $5\n", {"$5": KillResult.STALE}),
    "gone": ("spared $5 1105 \n", {"$5": KillResult.GONE}),
    "gone, target fell back": ("spared $5 1100 $6\n", {"$5": KillResult.GONE}),
    "two": ("killed $5\nspared $55 1100 $55\n", {"$5": KillResult.KILLED, "$55": KillResult.SPARED}),
    "nothing": ("", {}),
    "cut": ("killed $5\nkilled $55", {"$5": KillResult.KILLED}),
    "other lines": ("unknown command: kil\nkilled\nkilled $5 \nxkilled $5\nspared $5\nspared $5 1100\nspared $5  $5\n", {}),
}


@pytest.mark.parametrize(("text", "answers"), ANSWERS.values(), ids=ANSWERS.keys())
def test_answers(text: str, answers: dict[str, KillResult]) -> None:
    assert read_answers(text, EXPIRY) == answers


@pytest.mark.parametrize(
    ("text", "kept"),
    [("kept $5 1\n", True), ("kept $5 0\n", False), ("", None), ("kept $55 1\n", None), ("kept $5 1", None)],
    ids=["kept", "not kept", "no answer", "another's", "cut"],
)
def test_kept(text: str, kept: bool | None) -> None:
    assert read_kept(text, KEY) is kept
