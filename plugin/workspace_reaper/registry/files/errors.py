"""The error for files that cannot be read as a whole."""

from __future__ import annotations


class UnreadableFiles(Exception):
    """An error for files that are missing, unreadable, malformed or too large. The text is a sentence that names the file."""


class IncompleteFile(UnreadableFiles):
    """An error for a file that may be just being written: the next attempt may read it."""
