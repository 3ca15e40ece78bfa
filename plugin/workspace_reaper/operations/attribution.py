"""Which host a reported workspace belongs to, where a reaper has several."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from workspace_reaper.ledger.ledgers import SqliteLedgers
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.events import key_of
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.operations.reapers import Reapers
from workspace_reaper.policy.registry_identity import known_in_generation


def attributed(reapers: Reapers, reported: Collection[str]) -> tuple[Sequence[tuple[Reaper, Mapping[str, str]]], set[str]]:
    """Return for each host what was reported of it, and what belongs to no single host.

    The daemon names the host (`key_of`). A hook does not: its workspace is that of the only host whose ledger knows it. The
    event of another host would count as a deletion where ids are not unique.

    Returns:
        The hosts, each with the workspace ids by what was reported, and the rest.
    """
    by_host: list[tuple[Reaper, dict[str, str]]] = [(one, {}) for one in reapers.hosts]
    rest = set(reported)
    for one, own in by_host:
        prefix = key_of(one.name, "")
        own.update({text: text.removeprefix(prefix) for text in rest if text.startswith(prefix)})
        rest -= own.keys()
    known = _known(reapers, rest) if rest else {}
    for text, hosts in known.items():
        if len(hosts) == 1:
            by_host[hosts[0]][1][text] = text
            rest.discard(text)
    return [(one, own) for one, own in by_host if own], rest


def _known(reapers: Reapers, reported: Collection[str]) -> Mapping[str, Sequence[int]]:
    """Return the numbers of the hosts whose ledger knows each workspace. None is known to a ledger that cannot be read."""
    canonical = [{text: one.registry.canonical(text) for text in reported} for one in reapers.hosts]
    try:
        with reapers.first.shared.reading() as ledgers:
            ids = [{one for one in some.values() if one is not None} for some in canonical]
            states = SqliteLedgers(ledgers).load_states(ids, reapers.first.clock.now())
    except LedgerError:
        return {}
    return {
        text: [
            number
            for number, state in enumerate(states)
            if (one := canonical[number][text]) is not None and known_in_generation(one, state) is not None
        ]
        for text in reported
    }
