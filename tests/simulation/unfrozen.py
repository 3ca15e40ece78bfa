"""Makes frozen dataclasses that are not checked: each value of the sweep is then built in a third of the time.

A history builds thousands of them. mypy and the test suite, which runs histories too, see to it that none is changed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["unfrozen"]


@contextmanager
def unfrozen() -> Iterator[None]:
    """Whatever is imported for the first time in this block has dataclasses that compare and hash alike, and can be changed."""
    real = dataclasses.dataclass

    def made(cls: Any = None, /, *, frozen: bool = False, eq: bool = True, **options: Any) -> Any:
        return real(cls, eq=eq, unsafe_hash=frozen and eq, **options)

    dataclasses.dataclass = made  # type: ignore[assignment]
    try:
        yield
    finally:
        dataclasses.dataclass = real
