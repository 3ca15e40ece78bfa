"""Unit tests of the package registry."""
