"""Tasks: what clients watch for asynchronous requests."""
