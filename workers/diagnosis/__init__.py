"""What is wrong with a batch and what to do about it, judged from stored state alone."""
