"""What a kill would really end: the windows of a group live on as long as one of its sessions does. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from workspace_reaper.model.session import Listing, SessionKey

__all__ = ["held_by_their_group"]


def held_by_their_group(listings: Iterable[Listing], condemned: Collection[SessionKey]) -> frozenset[SessionKey]:
    """Those of the condemned whose group has a session that stays: one that is not ours, or that lives. Killing them would end
    none of its processes. A group goes as a whole, or not at all.

    The sessions of a group show the same windows; so may two groups by links, and then each holds the other. A session
    that can't be read may be of any group.
    """
    held: set[SessionKey] = set()
    for listing in listings:
        groups: dict[frozenset[str], list[SessionKey]] = {}
        for session in listing.sessions:
            if session.grouped:
                windows = frozenset(window.window_id for window in session.windows)
                groups.setdefault(windows, []).append(session.key)
        for members in groups.values():
            stays = any(key not in condemned for key in members)
            if stays or listing.unreadable:
                held.update(key for key in members if key in condemned)
    return frozenset(held)
