"""Real servers as child processes, for `strata up` and for tests; `servers` has them together.

Nothing here knows what Strata stores in them, and nothing runs on import.
"""
