"""CPU samples as one text, and back."""

from __future__ import annotations

from collections.abc import Mapping

from workspace_reaper.ledger.json_text import as_json, json_list
from workspace_reaper.ledger.validation import sound_samples
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import CpuSample

__all__ = ["SamplesText"]

Samples = Mapping[SessionKey, CpuSample]


class SamplesText:
    """The text is a JSON list of [socket, server pid, server start, session id, created, seconds, busy at].

    The last text is remembered with what it says. A sweep reads what the one before wrote, and mostly writes the same again:
    with 1,000 samples each would take more than 1 ms.
    """

    def __init__(self) -> None:
        self._last: tuple[str, Samples] = ("[]", {})

    def encode(self, samples: Samples) -> str:
        """The text of ``samples``; the same as last time where they are the same."""
        text, known = self._last
        if samples == known:
            return text
        text = as_json([[*key, sample.seconds, sample.busy_at] for key, sample in samples.items()])
        self._last = text, dict(samples)
        return text

    def decode(self, text: str) -> Samples:
        """The samples that ``text`` tells. Raises ``ValueError`` or ``TypeError`` where it can't be understood."""
        last, known = self._last
        if text != last:
            known = {SessionKey(*key): CpuSample(seconds, busy_at) for *key, seconds, busy_at in json_list(text)}
            self._last = text, sound_samples(known)
        return dict(known)
