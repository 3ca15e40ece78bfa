"""Loads all that a sweep loads late, so that a process forked afterwards need not. Import it for that alone."""

from __future__ import annotations
