"""Unit tests of the package ledger."""
