"""Unit tests of the package sweep."""
