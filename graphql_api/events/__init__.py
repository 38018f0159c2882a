"""The namespace's whole log."""
