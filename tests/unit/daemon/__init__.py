"""Unit tests of the package daemon."""
