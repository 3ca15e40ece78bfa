"""The faults that no mutant expresses, each with the reason and, where there is one, the test that shows its rule."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["NOT_EXPRESSED"]

_TMUX = "the rule is in how tmux is asked and its answer is parsed, below the port of the terminal"
_REGISTRY = "the rule is in the SQL and in the comparison of ids, below the port of the registry"
_NOTHING = "there is no rule to take out"

NOT_EXPRESSED: Mapping[str, str] = {
    "I04": f"{_NOTHING}: what is on another socket is never listed; tests/faults/test_cold_views.py has two sockets",
    "I09": f"{_TMUX}; tests/faults/test_gone_was_wrong.py lists in the C locale",
    "I10": f"{_TMUX}; tests/faults/test_gone_was_wrong.py has such paths and panes",
    "I16": f"{_NOTHING}: only what tmux lists is judged, so a row without a session is never looked at",
    "I19": "the simulated names have no character that tmux rewrites; tests/faults/test_wrong_target.py has them",
    "I23": f"{_NOTHING}: no code selects a process by its arguments",
    "I26": f"{_NOTHING}: a signal goes to one process, and no code knows groups, scopes or cgroups",
    "I27": f"{_NOTHING}: the port names its socket, and no code has `kill-server`",
    "I29": f"{_NOTHING}: ports are looked at after the signals, and select no process",
    "I35": f"{_NOTHING}: all times are seconds; tests/faults and tests/unit/policy/test_idle.py have time zones",
    "I45": f"{_TMUX}; tests/unit/tmux/test_responses.py has the texts of each version",
    "I47": f"{_TMUX}; tests/faults/test_clocks.py shows that no clock of tmux moves",
    "I48": "the plan runs the sweeps, where the worker and the daemon have timers; tests/faults/test_never_killed.py has them",
    "I49": "no host of the simulated world starts a reaped session again; tests/faults/test_never_killed.py has one that does",
    "I52": "the rule is in the two ways to read processes, below the port; tests/faults/test_leaks.py uses both",
    "I57": f"{_NOTHING}: no code removes a directory of a workspace",
    "I58": "the rule is in how working directories are compared, below the port; tests/faults/test_survivors.py has an alias",
    "I62": f"{_TMUX}; tests/faults/test_never_killed.py has such names",
    "I63": "what is read of an environment is decided below the port; tests/faults/test_secrets.py looks for secrets",
    "I66": "the rule is in the unit that is written; tests/unit/setup/test_service.py reads it",
    "I69": f"{_REGISTRY}; tests/contract/test_registry_pooler.py has the poolers",
    "I70": f"{_REGISTRY}; tests/contract/test_registry_spelling.py has the spellings",
    "I71": "several rows are made one below the port of the registry; tests/contract/test_registry_spelling.py has them",
    "I72": f"{_REGISTRY}; tests/contract/test_registry_spelling.py has rows without an id",
    "I76": "the oracle does not read what a report says of processes; tests/faults/test_cleaned_environment.py does",
    "I77": "the rule is in the start of the process; tests/integration/test_closed_descriptors.py closes them",
    "I85": "the rule is in the queue of the worker, which the plan replaces; tests/integration/test_bulk_events.py fills it",
    "I86": "the rule is in the reading of the configuration; tests/faults/test_secrets.py has such addresses",
    "I88": "the rule is in the command line; tests/faults/test_without_configuration.py runs it",
    "I95": "no session is called due in a history in which the clock was set; tests/faults/test_clocks.py sets it back",
    "H04": "with one socket, a silent one leaves no session to judge; tests/unit/sweep/test_observe.py has one among others",
    "H05": "no pane of the simulated tmux moves to another session, so what a killed one has left is never shown elsewhere; "
    "tests/unit/sweep/test_terminate.py has such panes",
    "H08": "the simulated host spells an id in one way; tests/integration/test_hooks.py has two",
    "H09": "the rule is in the permissions of files; tests/unit/util/test_permissions.py has such groups",
    "H10": "the rule is in the lock of the state directory; tests/unit/ledger/test_locks.py has such directories",
}
