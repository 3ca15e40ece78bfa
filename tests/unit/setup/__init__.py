"""Unit tests of the package setup."""
