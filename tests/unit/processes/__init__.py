"""Unit tests of the package processes."""
