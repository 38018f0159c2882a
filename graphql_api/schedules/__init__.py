"""Schedules: batches that submit themselves."""
