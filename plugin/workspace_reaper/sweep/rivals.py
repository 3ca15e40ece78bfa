"""The other hosts of a reaper that may claim a session which one host is about to reap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from workspace_reaper.model.ports import Registry
from workspace_reaper.model.session import Session, SessionKey
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.policy.session_hosts import HostMatchers
from workspace_reaper.util.text import printable


@dataclass(frozen=True, slots=True)
class Rivals:
    """The other hosts, as one host sees them.

    ``registries`` are those of all hosts by their number, with the names of the hosts, and ``own`` is the number of this one.
    """

    matchers: HostMatchers
    registries: Sequence[tuple[str | None, Registry]] = ()
    own: int = 0

    def contested(self, sessions: Collection[Session]) -> Mapping[SessionKey, str]:
        """Ask the other hosts' records about these sessions, as they are now.

        Returns:
            For each session that another host claims too, and of which its record knows the workspace or cannot be read, why it
            may belong to that host.
        """
        found: dict[SessionKey, str] = {}
        asked: dict[int, dict[SessionKey, str]] = defaultdict(dict)
        for session in sessions:
            for claim in self.matchers.rivals(session, self.own):
                asked[claim.host][session.key] = claim.workspace_id
        for host, ids in asked.items():
            name, registry = self.registries[host]
            rows = registry.look_up(sorted(set(ids.values())), (), every_spelling=True)
            for key, workspace_id in ids.items():
                if isinstance(rows, Unknown):
                    found[key] = f"the host {name} claims its name too, and its record cannot be read: {rows.reason}"
                elif (row := rows.found.get(workspace_id)) is not None and not row.deleted:
                    found[key] = f"the host {name} claims its name too, and has the workspace {printable(workspace_id)}"
        return found


# A host that is the only one.
NO_RIVALS = Rivals(HostMatchers([]))
