"""Tests here change the states of batches by hand, so no running worker may see them."""

import pytest

from engine.inline_pool import InlinePools
from models.stores import Stores
from tests.quiet import settings, stores
from tests.workers.jobs import GatedPools

__all__ = ["settings", "stores"]


@pytest.fixture
def gate(stores: Stores) -> GatedPools:
    """A gate that is closed."""
    return GatedPools(InlinePools(stores.settings.cache))
