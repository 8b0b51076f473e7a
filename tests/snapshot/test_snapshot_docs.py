"""docs/snapshot-format.md shows a real file. `python tests/snapshot/test_snapshot_docs.py` renews it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch

from sanitree.invariants.vocabulary import FIELDS, FULL, Policy, Settings
from sanitree.models.snapshot import Column, Key, Lists, Origin, Snapshot, Table, decode, encode, same
from sanitree.models.snapshot.files import RATIO
from sanitree.models.snapshot.schema import LISTS

PAGE = Path(__file__).parents[2] / "docs" / "snapshot-format.md"
BLOCK = re.compile(r"```json\n(.*?)```", re.DOTALL)


def example() -> Snapshot:
    """[1, 2] and [1, 2, 500, 501] were inserted, and 500, 501 evicted before their backup was done."""
    numbers = {
        "parent": [0, 0, 1],
        "key_len": [0, 2, 2],
        "first_page": [0, 1, 500],
        "edge": [0, 1, 500],
        "write_ack": [-1, -1, 6],
    }
    columns = {Key(name): Column(torch.tensor(values)) for name, values in numbers.items()}
    columns[Key("hits")] = Column(torch.tensor([0, 1, 0]), torch.tensor([True, True, False]))
    columns[Key("present", "full", "device")] = Column(torch.tensor([False, True, False]))
    columns[Key("present", "full", "host")] = Column(torch.tensor([False, False, True]))
    return Snapshot(
        Origin("sglang", "0.5.12", "python", "2026-05-04T12:00:00Z"),
        Settings(Policy.WRITE_BACK, (FULL,), frozenset({"tiered"}), page_size=1),
        Table(
            torch.tensor([0]),
            {Key("evictable_size", "full"): Column(torch.tensor([2]))},
            {Key("free", "full", "device"): Lists.of([[5, 6, 3, 4]])},
        ),
        Table(
            torch.tensor([0, 5, 6]),
            columns,
            {
                Key("key"): Lists.of([[], [1, 2], [500, 501]]),
                Key("holds", "full", "device"): Lists.of([[], [1, 2], []]),
                Key("holds", "full", "host"): Lists.of([[], [], [0, 1]]),
            },
        ),
        Table(
            torch.tensor([6]),
            {
                Key("is_write"): Column(torch.tensor([True])),
                Key("ack"): Column(torch.tensor([6])),
                Key("node"): Column(torch.tensor([2])),
            },
            {Key("reads", "full", "device"): Lists.of([[3, 4]]), Key("writes", "full", "host"): Lists.of([[0, 1]])},
        ),
    )


def rendered(value: Any, indent: str = "") -> str:
    """JSON with an object's entries a line each, and arrays on one."""
    if not isinstance(value, dict) or not value or "lengths" in value or "per_token" in value:
        return json.dumps(value)
    inner = indent + "  "
    lines = (f"{inner}{json.dumps(k)}: {rendered(v, inner)}" for k, v in value.items())
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def block() -> str:
    return f"```json\n{rendered(orjson.loads(encode(example(), tokens='raw')))}\n```"


def test_the_example_is_a_file() -> None:
    (shown,) = BLOCK.findall(PAGE.read_text())
    assert same(decode(shown.encode()), example())
    assert block() in PAGE.read_text(), "run this file to renew it"


def test_the_page_names_every_list_and_the_limit() -> None:
    text = PAGE.read_text()
    for _, name in LISTS:
        assert f"`{name}`" in text
    assert f"{RATIO} times" in text
    assert {name for _, name in FIELDS} & set(re.findall(r"`(\w+)`", text)), "it names some fields at least"


def test_the_code_on_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tree.json").write_bytes(encode(example(), tokens="raw"))
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(code, str(PAGE), "exec"), {})


if __name__ == "__main__":
    PAGE.write_text(BLOCK.sub(lambda _: block(), PAGE.read_text()))
