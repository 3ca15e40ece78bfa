"""The reaper's sweep in a simulated world: no thread, no sleep, no file, and every event from one seed."""
