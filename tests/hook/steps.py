"""What the two ways to judge a step say, in the same words."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sanitree.checker.report import Report
from sanitree.invariants.rules import Check

Named = tuple[str, object]
"""A check, and the id of a node, the acknowledgement of a transfer, or None: the tree."""


def name_of(element: Any) -> object:
    """Of what is told by the books."""
    if element is None:
        return None
    return element.id if hasattr(element, "id") else 2 * element.ack + element.is_write


def false_of(report: Report, checks: Collection[Check]) -> set[Named]:
    """What a report on the two whole states says of these checks."""
    return {(v.check.name, v.element) for v in report.violations if v.check in checks}
