"""Process chaos: real batches over the real stack while something is killed, wiped or stopped."""
