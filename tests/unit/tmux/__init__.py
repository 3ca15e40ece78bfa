"""Unit tests of the package tmux."""
