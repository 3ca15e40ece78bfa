"""What the simulation found itself."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

__all__ = ["FOUND"]

_RUNS = "row.running for row in case.facts.rows"
_UNCLEAR = "{one.key for one in candidates if one.attempts and is_hidden(second, one.facts.session)}"
_NEW = "    new = {one: reports[one] for one in reports if not _is_same(recorded.get(one), reports[one])}\n"
_OF_NOW = " if ledger_state.named.get(one) == generation]"
_OTHERS = '    others = f" and {len(every) - MOST_NAMES} more" if len(every) > MOST_NAMES else ""\n'
_KEPT = "if session.kept and "
_COUNTED = "counted = replace(following, gone=())"
_BEFORE = "if before_that > SLACK:"
_UNKNOWN = "seconds > STARTING and is_busy"
_BELOW = "for some in found.values() for one in some), children)"
_NOT_BELOW = "for some in found.values() for one in some), {})"
_NOT_ENDED = " if session.key not in ended]"
_PROVEN = "builder.is_proven(session, workspace_id, row)"
_SEEN = "builder.knows(session, workspace_id)"
_ENDED = "return max(min(now, max(ended)), busy_at or 0.0) if ended else busy_at"
_REJECTED = "if reject_unlinked_sockets(seen, servers, self._processes):"
_AWAKE = "min(second.at - first.at, clock.monotonic() - first_at)"
_OUT_OF_SIGHT = "if listing is None or intent.boot != processes.boot:"
_REFUTED = "    _forget_refuted(confirmations, rows)\n"
_NO_REPORT = "            self.refuted.add(facts.workspace_id)\n"
_DELAY = "delay = self._dependencies.clock.read().elapsed - self._looked_at"
_BEFORE_CHANGE = "(known_before - state.approved if loss else frozenset())"
_VALID = "<= self._context.settings.recheck_validity"

FOUND = (
    Mutant(
        "a renamed session is not saved by the row of its name",
        ("I92",),
        (Edit("policy/protections.py", _RUNS, "row.running for row in case.facts.rows[:1]"),),
    ),
    Mutant(
        "an absence that was refuted stays found",
        ("I94",),
        (Edit("sweep/recheck.py", "        self._forget_refuted(candidate.key, facts)\n", ""),),
    ),
    Mutant("a kill without an answer hides the processes", ("I96",), (Edit("sweep/prepare.py", _UNCLEAR, "set()"),)),
    Mutant("a report is recorded at each look", ("I98",), (Edit("operations/suspects.py", _NEW, "    new = reports\n"),)),
    Mutant("a look at the processes is valid for ten seconds", ("I99",), (Edit("sweep/kill.py", _VALID, "<= 10.0"),)),
    Mutant(
        "a report counts for any database",
        ("I98",),
        (Edit("sweep/judge.py", " if removal.generation == generation}", "}"), Edit("sweep/judge.py", _OF_NOW, "]")),
    ),
    Mutant("a keep without a row cancels nothing", ("I100",), (Edit("sweep/record.py", _KEPT, "if False and "),)),
    Mutant("the sleep before the first sweep is idle time", ("I101",), (Edit("policy/idle.py", _BEFORE, "if False:"),)),
    Mutant("an ended program was not active", ("I102",), (Edit("policy/idle.py", _ENDED, "return busy_at"),)),
    Mutant("a session out of sight is over", ("I103",), (Edit("daemon/watcher.py", _REJECTED, "if False:"),)),
    Mutant("time asleep counts between two looks", ("I104",), (Edit("sweep/prepare.py", _AWAKE, "second.at - first.at"),)),
    Mutant("a row refutes no absence of another sweep", ("I94",), (Edit("sweep/confirm.py", _REFUTED, ""),)),
    Mutant("a recheck refutes no report", ("I106",), (Edit("sweep/recheck.py", _NO_REPORT, ""),)),
    Mutant("an absence is dated when it is judged", ("I107",), (Edit("sweep/sweep.py", _DELAY, "delay = 0.0"),)),
    Mutant("nothing holds a breaker that lost rows tripped", ("I108",), (Edit("policy/breaker.py", _BEFORE_CHANGE, "set()"),)),
    Mutant("an intent out of sight is closed", ("I105",), (Edit("sweep/recovery.py", _OUT_OF_SIGHT, "if True:"),)),
    Mutant(
        "a change of identity forgets what vanished", ("I109",), (Edit("policy/deletions.py", _COUNTED, "counted = Past(now)"),)
    ),
    Mutant("nothing computed before the first look", ("I110",), (Edit("policy/idle.py", _UNKNOWN, "False and is_busy"),)),
    Mutant("what a living session runs for another is not alive", ("I111",), (Edit("sweep/leftovers.py", _BELOW, _NOT_BELOW),)),
    Mutant(
        "a session without processes leaves none", ("I112",), (Edit("sweep/leftovers.py", "=self.server_started)", "=None)"),)
    ),
    Mutant("a session that was ended may depend on what it left", ("I113",), (Edit("sweep/conclude.py", _NOT_ENDED, "]"),)),
    Mutant("a flagged row proves nothing", ("I114",), (Edit("sweep/confirm.py", _PROVEN, _SEEN),)),
    Mutant("an alarm names five and no more", ("I97",), (Edit("sweep/alarms.py", _OTHERS, '    others = ""\n'),)),
)
