"""The record of the lockstep campaign: how much was followed, and that nothing of it is left unexplained."""

from __future__ import annotations

from pathlib import Path

from tests.hunt.campaign import read
from tests.lockstep.measured import called, lines, short_of_a_floor

RECORD = Path(__file__).parent / "campaign.jsonl.gz"


def test_a_million_calls_were_followed_and_none_is_unexplained() -> None:
    record = read(RECORD)
    assert called([r for r in record if r.get("followed")]).total() > 1_000_000
    assert list(short_of_a_floor(record)) == []
    assert not [f for r in record for f in r["found"] if not f["known"]]


def test_what_is_not_reached_is_told() -> None:
    """Of a record without one engine."""
    record = [r for r in read(RECORD) if r["on"] != "0.5.12"]
    assert list(short_of_a_floor(record)) == ["0.5.12: 0 calls"]
    assert any("Not reached: 0.5.12: 0 calls." in line for line in lines(record, "today"))
