"""The sessions as tmux lists them, in the time that the machine has lived: read by a format of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.tools.machine_facts import Key, Seen
from tests.tools.machine_time import Carried, Moment
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until

__all__ = ["FOR_ALL", "Listing", "Pane", "list_sessions"]

FOR_ALL = "careless"
"""The value of an option that somebody sets for all sessions. No reaper sets it, so as an owner it does not count."""

_FORMAT = "|".join(
    (
        "#{pid}|#{start_time}|#{session_id}|#{session_created}|#{session_activity}|#{session_last_attached}",
        "#{session_attached}#{session_attached_list}#{session_group_attached_list}|#{session_group}|#{@reaper_keep}",
        "#{@workspace_owner}|#{?#{==:#{@reaper_self},#{session_id}/#{session_created}/#{pid}},#{@reaper_workspace},}",
        "#{W:#{P:#{window_id} #{window_activity} #{pane_tty} #{pane_pid} #{pane_dead} #{pane_dead_time};}}",
        "#{session_name}",
    )
)


@dataclass(frozen=True, slots=True)
class Pane:
    """The one pane of a window; ``output`` is when the window last had any."""

    window: tuple[int, int, str]
    output: Moment
    tty: str
    pid: int
    dead: bool
    died: int | None


@dataclass(frozen=True, slots=True)
class Listing:
    """The sessions at one moment, by their ids: a server gives none out twice."""

    sessions: Mapping[str, Seen]
    panes: Mapping[str, Sequence[Pane]]

    @property
    def keys(self) -> frozenset[Key]:
        """Which sessions these are."""
        return frozenset(one.key for one in self.sessions.values())

    @property
    def names(self) -> frozenset[str]:
        """Those that are taken."""
        return frozenset(one.name for one in self.sessions.values())


def list_sessions(server: TmuxServer, carried: Carried) -> Listing:
    """The sessions as tmux lists them now."""
    lines = server.run("list-sessions", "-F", _FORMAT, check=False).splitlines()
    if not lines:
        # A server ends with its last session, and does not answer while it does.
        wait_until(lambda: not server.is_alive())
    rows = [line.split("|") for line in lines]
    panes = {fields[2]: _panes(fields, carried) for fields in rows}
    return Listing({fields[2]: _seen(fields, panes[fields[2]], carried) for fields in rows}, panes)


def _seen(fields: Sequence[str], panes: Sequence[Pane], carried: Carried) -> Seen:
    pid, start, session_id, created, activity, came, clients, group, kept, owner, mark, _, name = fields
    who, moment = (int(pid), int(start), session_id), carried.moment
    born = moment((*who, "created"), int(created))
    return Seen(
        key=Key(*who, born.wall),
        name=name,
        born=born.lived,
        activity=moment((*who, "activity"), int(activity)).lived,
        came=moment((*who, "came"), int(came)).lived if came else None,
        clients=clients != "0",
        group=group,
        kept=bool(kept),
        owner="" if owner == FOR_ALL else owner,
        workspace=bytes.fromhex(mark).decode() if owner else "",
        outputs=tuple(pane.output.lived for pane in panes),
        panes=tuple((pane.dead, pane.died) for pane in panes),
    )


def _panes(fields: Sequence[str], carried: Carried) -> list[Pane]:
    server, found = (int(fields[0]), int(fields[1])), []
    for pane in fields[11].split(";")[:-1]:
        window_id, told, tty, pid, dead, died = pane.split(" ")
        window = (*server, window_id)
        output = carried.moment(window, int(told))
        died_at = carried.moment((*window, "died"), int(died)).lived if died else None
        found.append(Pane(window, output, tty, int(pid or 0), dead == "1", died_at))
    return found
