"""Changing objects, and their lists."""
