"""Unit tests of the package demo."""
