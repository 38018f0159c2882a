"""What any extractor must do, ours and others': a kit of checks.

In a test of a plug-in: `CHECKS`, each called with a `Subject`. Without writing any:
`pytest -p engine.pytest_plugin --strata-extractor NAME@VERSION`.
"""

from engine.conformance.checks import CHECKS, Check
from engine.conformance.subject import Row, Subject

__all__ = ["CHECKS", "Check", "Row", "Subject"]
