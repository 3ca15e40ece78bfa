"""Unit tests of the package hookspecs."""
