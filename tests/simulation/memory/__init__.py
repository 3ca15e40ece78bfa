"""The ports in memory. Each passes the contract tests of the real one."""
