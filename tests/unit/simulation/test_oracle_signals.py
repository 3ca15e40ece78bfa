"""Signals to processes that outlived their session."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.simulation.oracle import judge_signal
from tests.simulation.oracle.truth_reaper import Limits
from tests.simulation.oracle.truth_signals import Dependence, Ended, Kind, Origin, Relation, SignalTruth

NOW = 1000.0
TERM = SignalTruth(NOW, 42, "TERM", "ws-a", started=5.0, recorded=5.0)
UNKNOWN = Ended.UNKNOWN


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        pytest.param({"started": 6.0}, "identity", id="another process has the pid"),
        pytest.param({"kind": Kind.TMUX}, "protected", id="tmux"),
        pytest.param({"kind": Kind.REAPER}, "protected", id="the reaper"),
        pytest.param({"kind": Kind.LOGIN}, "protected", id="the login's"),
        pytest.param({"own_user": False}, "protected", id="another user's"),
        pytest.param({"ended": Ended.LIVES}, "session", id="its session lives"),
        pytest.param({"ended": UNKNOWN, "row_selects": False}, "interrupted", id="interrupted, the row is back"),
        pytest.param({"ended": UNKNOWN, "running": True}, "interrupted", id="interrupted, running"),
        pytest.param({"ended": UNKNOWN, "sibling_lives": True}, "interrupted", id="interrupted, a sibling"),
        pytest.param({"origin": Origin.NONE}, "origin", id="a stranger"),
        pytest.param({"origin": Origin.DIRECTORY}, "origin", id="never seen below a pane"),
        pytest.param({"origin": Origin.ENVIRONMENT, "in_directory": False}, "survivors", id="left, and works elsewhere"),
        pytest.param({"origin": Origin.SEEN_BELOW, "in_directory": False}, "survivors", id="cleaned, and works elsewhere"),
        *(
            pytest.param({"dependences": (Dependence(relation, NOW - 1.0),)}, "needed", id=f"needed: {relation.value}")
            for relation in Relation
        ),
        pytest.param({"signal": "HUP"}, "signal", id="another signal"),
        pytest.param({"signal": "KILL"}, "grace", id="KILL without TERM"),
        pytest.param({"signal": "KILL", "term_at": NOW - 5.0, "stopped": True}, "grace", id="KILL without CONT"),
        pytest.param({"signal": "KILL", "term_at": NOW - 3.0}, "grace", id="KILL within the grace"),
        pytest.param({"signal": "KILL", "term_at": NOW - 6.0, "term_waits": True}, "grace", id="KILL before its TERM"),
    ],
)
def test_a_signal_is_wrong_by_one_fact(changes: dict[str, Any], rule: str) -> None:
    assert {violation.rule for violation in judge_signal(replace(TERM, **changes))} == {rule}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="below a pane"),
        pytest.param({"signal": "CONT"}, id="CONT"),
        pytest.param({"stopped": True}, id="TERM to a stopped one"),
        pytest.param({"signal": "KILL", "term_at": NOW - 5.0}, id="KILL after the grace"),
        pytest.param({"started": None, "kind": Kind.TMUX}, id="no process has the pid any more"),
        pytest.param({"origin": Origin.PANE, "in_directory": False}, id="below a pane, elsewhere"),
        pytest.param({"origin": Origin.ENVIRONMENT}, id="left the tree, in the directory"),
        pytest.param({"origin": Origin.SEEN_BELOW}, id="cleaned, in the directory"),
        pytest.param(
            {"origin": Origin.ENVIRONMENT, "in_directory": False, "limits": Limits(all_survivors=True)}, id="all survivors"
        ),
        pytest.param({"ended": UNKNOWN}, id="interrupted, and still selected"),
        pytest.param({"running": True, "sibling_lives": True}, id="what counts only after an interruption"),
        pytest.param({"dependences": (Dependence(Relation.DESCENDANT, NOW - 0.5),)}, id="needed since the scan"),
    ],
)
def test_a_signal_is_right(changes: dict[str, Any]) -> None:
    assert judge_signal(replace(TERM, **changes)) == []
