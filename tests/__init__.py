"""Mirrors the packages; contracts/ and e2e/ beside them."""
