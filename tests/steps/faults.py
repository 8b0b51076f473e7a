"""Two faults or more for each step rule. See `plant.Fault` for what is expected of each."""

from __future__ import annotations

from tests.steps import faults_of_locks, faults_of_progress, faults_of_queries, faults_of_transfers
from tests.steps.plant import FAULTS

__all__ = ["FAULTS", "faults_of_locks", "faults_of_progress", "faults_of_queries", "faults_of_transfers"]
