"""Batches: planning, submitting, following, canceling; tasks and row errors."""
