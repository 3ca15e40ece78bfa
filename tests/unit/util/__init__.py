"""Unit tests of the package util."""
