"""Benchmarks: each prints what it saw and ends with one line of JSON. None is a timed test."""
