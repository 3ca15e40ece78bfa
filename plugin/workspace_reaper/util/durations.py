"""Durations as people write them: ``48h``, ``1h30m``, or plain seconds."""

from __future__ import annotations

import math
import re

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_WRITTEN = re.compile("".join(rf"(?:(?P<{unit}>[0-9]+(?:\.[0-9]+)?){unit})?" for unit in _UNITS))
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]+)?")
# A hundred years: a longer duration overflows dates, and is a typing error.
_LONGEST = 36_500 * 86_400


def parse_duration(value: object) -> float:
    """Return seconds, from a number of seconds or from text: ``90``, ``90s``, ``10m``, ``48h``, ``2d``, ``1h30m``, ``1.5h``.

    Raises:
        ValueError: It is not a duration, is negative, is NaN, or is longer than 36500 days. The message is a phrase.
    """
    if isinstance(value, str):
        seconds = _from_text(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(min(value, 2 * _LONGEST))
    else:
        raise ValueError(f"{value!r} is not a duration")
    if math.isnan(seconds) or seconds < 0:
        raise ValueError(f"{value!r} is not a length of time")
    if seconds > _LONGEST:
        raise ValueError(f"{value!r} is longer than 36500d")
    return seconds


def render_duration(seconds: float) -> str:
    """Return the shortest exact text that ``parse_duration`` reads back: ``48h``, ``10m``, ``1h30m``, ``0.5s``."""
    if not float(seconds).is_integer():
        return f"{seconds:f}".rstrip("0") + "s"
    rest, text = int(seconds), ""
    for unit in "hms":
        count, rest = divmod(rest, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def _from_text(text: str) -> float:
    if _PLAIN.fullmatch(text):
        return float(text)
    match = _WRITTEN.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration")
    return sum(float(number) * _UNITS[unit] for unit, number in match.groupdict().items() if number is not None)


def seconds_text(value: float) -> str:
    """Return seconds for display: ``90 s``; from an hour on like a configured duration, such as ``48h`` or ``1h30m``."""
    return render_duration(round(value)) if value >= 3600 else f"{value:.0f} s"
