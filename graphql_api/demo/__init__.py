"""The demo: the standard library's docstrings, from objects to searches, through the API alone.

A client like any other: it knows an address and a key, and imports no other part of Strata.
"""
