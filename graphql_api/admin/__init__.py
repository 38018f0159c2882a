"""Namespaces and their keys."""
