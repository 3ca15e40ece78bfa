"""What a host or an operator asks for: a sweep, status, explain, keep, undo, restore, adopt, doctor, and the wiring.

Nothing here prints, parses arguments or configures logging.
"""
