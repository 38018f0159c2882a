"""Decides what happens next and writes it down: the only writer of batch status."""
