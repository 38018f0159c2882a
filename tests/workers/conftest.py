"""Tests here change the states of batches by hand, so no running worker may see them."""

from tests.quiet import settings, stores

__all__ = ["settings", "stores"]
