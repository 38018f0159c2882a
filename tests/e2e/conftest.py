"""Here a namespace is one of the running stack."""

import pytest

from tests.fixtures.stores import NamespaceOfTest


@pytest.fixture
def namespace(stack_namespace: NamespaceOfTest) -> NamespaceOfTest:
    """A fresh namespace of the stack."""
    return stack_namespace
