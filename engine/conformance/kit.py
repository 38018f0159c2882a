"""The checks as tests, on the extractor that the command line names."""

import pytest

from engine.conformance.checks import CHECKS, Check
from engine.conformance.subject import Subject


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_extractor(check: Check, strata_subject: Subject) -> None:
    """Any extractor passes."""
    check(strata_subject)
