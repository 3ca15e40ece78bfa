"""The rules: pure functions from facts and the time to a decision.

No I/O, no clock, no third-party library and no adapter may enter it.
"""
