"""Unit tests of the package policy."""
