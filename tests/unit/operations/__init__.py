"""Unit tests of the package operations."""
