"""Files that are no snapshots: one clear line, whatever they hold."""

# ruff: noqa: E501 -- a bad input a line, however long

from __future__ import annotations

import copy
import gzip
import json
import os
import pickle
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_snapshot_round_trips import small

from sanitree.models.snapshot import Snapshot, SnapshotError, SnapshotIOError, decode, encode, read, same

DOCUMENT: dict[str, Any] = json.loads(encode(small(), tokens="raw"))


def refused(data: bytes) -> str:
    """The line that says what is wrong with `data`."""
    with pytest.raises(SnapshotError) as error:
        decode(data)
    line = str(error.value)
    assert 10 < len(line) < 400
    assert line.isprintable()
    assert error.value.exit_code == 2 and error.value.hint
    assert error.value.__suppress_context__ or error.value.__context__ is None, "a traceback would show through"
    return line


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    d = copy.deepcopy(DOCUMENT)
    change(d)
    return json.dumps(d).encode()


def put(path: str, value: object) -> Callable[[dict[str, Any]], object]:
    """Puts a value at a path such as nodes/columns/parent/1."""

    def change(d: Any) -> None:
        *way, last = [int(p) if p.isdecimal() else p for p in path.split("/")]
        for step in way:
            d = d[step]
        d[last] = value

    return change


def drop(path: str) -> Callable[[dict[str, Any]], object]:
    def change(d: Any) -> None:
        *way, last = path.split("/")
        for step in way:
            d = d[step]
        del d[last]

    return change


TEXT = json.dumps(DOCUMENT)
PACKED = gzip.compress(TEXT.encode())

BYTES = {
    "empty": (b"", "empty"),
    "blank": (b" \n\t", "empty"),
    "an empty gzip": (gzip.compress(b""), "empty"),
    "text": (b"hello", "begins 'hello'"),
    "a pickle": (pickle.dumps(Exception("no")), "begins"),
    "a pickle, zipped": (gzip.compress(pickle.dumps({"format": "sanitree-snapshot"})), "begins"),
    "a JSON array": (b"[1, 2]", "begins"),
    "another JSON object": (b'{"a": 1}', 'not a sanitree snapshot; such a file begins {"format": "sanitree-snapshot"'),
    "cut short": (TEXT[:-20].encode(), "not JSON: unexpected end of data"),
    "not UTF-8": (TEXT.replace("sglang", "\xff").encode("latin-1"), "not JSON"),
    "NaN": (TEXT.replace("[11, 12, 13]", "[NaN, 12, 13]").encode(), "not JSON"),
    "Infinity": (TEXT.replace("[11, 12, 13]", "[-Infinity, 12, 13]").encode(), "not JSON"),
    "two documents": ((TEXT + TEXT).encode(), "not JSON"),
    "deeply nested": (b'{"format": ' + b"[" * 5000 + b"]" * 5000 + b"}", "not JSON: "),
    "nested without end": (b'{"format": ' + b"[" * 100_000, "more arrays, objects or texts"),
    "a million arrays": (b'{"format": [' + b"[]," * 1_000_000 + b"0]}", "more arrays, objects or texts"),
    "a million texts": (b'{"format": [' + b'"",' * 1_000_000 + b"0]}", "more arrays, objects or texts"),
    "a key twice": (TEXT.replace('"tokens": "raw"', '"tokens": "hashed", "tokens": "raw"').encode(), "'tokens' is written twice"),
    "a column twice": (TEXT.replace('"hits": ', '"hits": [1, 2, 3], "hits": ').encode(), "'hits' is written twice"),
    "an escaped key twice": (TEXT.replace('"hits": ', '"hit\\u0073" : [1, 2, 3], "hits": ').encode(), "'hits' is written twice"),
    "a nested key twice": (TEXT.replace('"backbone": true', '"backbone": false, "backbone": true').encode(), "'backbone' is w"),
    "gzip of rubbish": (b"\x1f\x8b" + b"rubbish" * 9, "not gzip"),
    "gzip cut short": (PACKED[:-30], "the gzip stream ends early"),
    "gzip header only": (PACKED[:10], "the gzip stream ends early"),
    "gzip with a wrong sum": (PACKED[:-8] + b"\0" * 8, "not gzip"),
    "two gzip streams": (PACKED + PACKED, "something follows the gzip stream"),
    "gzip in gzip": (gzip.compress(PACKED), "begins"),
    "a gzip bomb": (gzip.compress(b"{" + b" " * 2**25), "it unpacks to more than 64 times its size"),
}  # fmt: skip

CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another format": (put("format", "x"), "not a sanitree snapshot"),
    "a newer version": (put("version", 2), r".version: unknown version 2; update sanitree"),
    "an older version": (put("version", 0), r"this sanitree reads version 1"),
    "a text as version": (put("version", "1"), r".version: unknown version '1'"),
    "true as version": (put("version", True), r".version: unknown version true"),
    "a giant version": (put("version", 10**30), r"unknown version 1e\+30"),
    "a negative minor": (put("minor", -1), r".minor: -1 is no minor version"),
    "no minor": (drop("minor"), r"null is no minor version"),
    "an unknown key": (put("nodez", 1), r"\.: unknown key 'nodez'; update"),
    "no nodes": (drop("nodes"), r"\.nodes: missing"),
    "nodes unobserved": (put("nodes", None), r"\.nodes: null; only transfers and requests"),
    "nodes a list": (put("nodes", []), r"\.nodes: an object is wanted, not an array"),
    "no transfers key": (drop("transfers"), r"\.transfers: missing"),
    "origin a text": (put("origin", "sglang"), r"\.origin: an object is wanted, not 'sglang'; with engine, version"),
    "origin incomplete": (drop("origin/core"), r"\.origin\.core: missing"),
    "a number as engine": (put("origin/engine", 5), r"\.origin\.engine: text is wanted, not 5"),
    "an escape sequence": (put("origin/engine", "\x1b[2J"), r"\.origin\.engine: '\\x1b\[2J' cannot be printed"),
    "lines in a name": (put("origin/engine", "a\nb"), r"cannot be printed"),
    "a huge name": (put("origin/engine", "x" * 10**6), r"at most 200 printable characters"),
    "a lone surrogate": (put("origin/engine", "\ud800"), r"not JSON"),
    "tokens a number": (put("tokens", 1), r"\.tokens: text is wanted"),
    "tokens otherwise": (put("tokens", "sold"), r"'sold' says nothing about tokens"),
    "unknown policy": (put("settings/policy", "write_never"), r"\.settings\.policy: unknown policy 'write_never'; one of write_th"),
    "policy a list": (put("settings/policy", []), r"unknown policy an array"),
    "page size 0": (put("settings/page_size", 0), r"\.settings\.page_size: 0 is no page size"),
    "page size true": (put("settings/page_size", True), r"true is no page size"),
    "page size a fraction": (put("settings/page_size", 1.5), r"1.5 is no page size"),
    "page size giant": (put("settings/page_size", 2**62), r"is no page size"),
    "unknown trait": (put("settings/traits", ["odd"]), r"\.settings\.traits\[0\]: unknown trait 'odd'; a newer sanitree"),
    "trait a list": (put("settings/traits", [["tiered"]]), r"unknown trait an array"),
    "traits a text": (put("settings/traits", "tiered"), r"\.settings\.traits: an array is wanted"),
    "no components": (put("settings/components", []), r"not exactly one is the backbone"),
    "components a dict": (put("settings/components", {}), r"\.settings\.components: an array is wanted, not an object"),
    "component a text": (put("settings/components/0", "full"), r"\.settings\.components\[0\]: not a component"),
    "component incomplete": (put("settings/components/0", {"name": "full"}), r"not a component"),
    "component flags": (put("settings/components/0/backbone", 1), r"a name and two truth values"),
    "component twice": (put("settings/components/1", DOCUMENT["settings"]["components"][0]), r"full is declared twice"),
    "component redefined": (put("settings/components/0/per_token", False), r"full is a known component, declared otherwise"),
    "component with dots": (put("settings/components/1/name", "a.b"), r"'a.b' is no name for a component"),
    "two backbones": (put("settings/components/1/backbone", True), r"not exactly one is the backbone"),
    "many components": (put("settings/components", [{"name": f"c{i}", "backbone": not i, "per_token": True} for i in range(900)]), r"too many components"),
    "ids null": (put("nodes/ids", None), r"\.nodes\.ids: an array is wanted, not null"),
    "ids with null": (put("nodes/ids/1", None), r"\.nodes\.ids\[1\]: null is no whole number"),
    "ids with text": (put("nodes/ids/1", "7"), r"\.nodes\.ids\[1\]: '7' is no whole number"),
    "ids with objects": (put("nodes/ids/1", {}), r"\.nodes\.ids\[1\]: an object is no whole number"),
    "an id twice": (put("nodes/ids/2", 7), r"\.nodes\.ids\[2\]: id 7 is used twice"),
    "an id beyond 64 bits": (put("nodes/ids/2", 2**63), r"\.nodes\.ids\[2\]: 9223372036854775808 is out of range"),
    "a giant id": (put("nodes/ids/2", 10**40), r"\.nodes\.ids\[2\]: 1e\+40 is no whole number"),
    "a fraction as id": (put("nodes/ids/2", 2.0), r"\.nodes\.ids\[2\]: 2.0 is no whole number"),
    "more ids than rows": (put("nodes/ids", [1, 2, 3, 4]), r"3 values for 4 rows"),
    "no rows at all": (put("nodes", {"ids": [], "columns": {"parent": []}, "lists": {}}), r"\.nodes\.ids: there are no nodes"),
    "two trees": (put("tree", {"ids": [0, 1], "columns": {}, "lists": {}}), r"\.tree\.ids: there are 2 trees"),
    "columns a list": (put("nodes/columns", []), r"\.nodes\.columns: an object is wanted"),
    "a short column": (put("nodes/columns/hits", [1]), r'\.nodes\.columns\["hits"\]: 1 values for 3 rows'),
    "a column as text": (put("nodes/columns/hits", "123"), r'\.nodes\.columns\["hits"\]: an array is wanted, not \'123\''),
    "a column of nothing": (put("nodes/columns/hits", None), r"an array is wanted, not null"),
    "a misspelt column": (put("nodes/columns/key_length", [0, 2, 1]), r"'key_length' is no name for nodes; perhaps 'key_len'"),
    "an endless name": (put("nodes/columns/" + "x" * 10**5, [0]), r"is no name for nodes"),
    "a column of the wrong table": (put("tree/columns/hits", [0]), r'\.tree\.columns\["hits"\]: \'hits\' is no name for tree'),
    "an index too few": (put("nodes/columns/present", [True] * 3), r"'present' is no name for nodes; indexed by component, tier"),
    "an index too many": (put("nodes/columns/full.hits", [0] * 3), r"'full.hits' is no name for nodes; indexed by -"),
    "an undeclared component": (put("nodes/columns/odd.device.lock", [0] * 3), r"component 'odd' is not declared"),
    "an unknown tier": (put("nodes/columns/full.disk.lock", [0] * 3), r"'full.disk.lock' is no name for nodes"),
    "numbers for truth values": (put("nodes/columns/write_pending", [0, 1, 0]), r"\[0\]: 0 is no truth value; true, false, or null"),
    "texts for truth values": (put("nodes/columns/write_pending", [None, "yes", None]), r"\[1\]: 'yes' is no truth value"),
    "truth values for numbers": (put("nodes/columns/hits/0", True), r'\["hits"\]\[0\]: true is no whole number'),
    "arrays for numbers": (put("nodes/columns/hits/0", [[]]), r'\["hits"\]\[0\]: an array is no whole number'),
    "a size of 2**62": (put("nodes/columns/key_len/1", 2**62), r'\["key_len"\]\[1\]: 4611686018427387904 is not a number'),
    "no parents": (drop("nodes/columns/parent"), r'\.nodes\.columns\["parent"\]: missing'),
    "an unknown parent": (put("nodes/columns/parent/1", None), r'\["parent"\]\[1\]: a parent may not be unknown'),
    "the root has a parent": (put("nodes/columns/parent/0", 1), r'\["parent"\]\[0\]: row 0 has a parent'),
    "its own parent": (put("nodes/columns/parent/1", 1), r'\["parent"\]\[1\]: 1 is not an earlier row; row 0 is the root'),
    "a cycle": (put("nodes/columns/parent/1", 2), r'\["parent"\]\[1\]: 2 is not an earlier row'),
    "a parent out of range": (put("nodes/columns/parent/2", 9), r'\["parent"\]\[2\]: 9 is not a row of the nodes; 0 to 2'),
    "a negative parent": (put("nodes/columns/parent/2", -1), r"-1 is not a row of the nodes"),
    "a reference out of range": (put("nodes/columns/parent_link/2", 3), r'\["parent_link"\]\[2\]: 3 is not a row of the nodes'),
    "a transfer's node out of range": (put("transfers", {"ids": [0], "columns": {"node": [3]}, "lists": {}}), r'\.transfers\.columns\["node"\]\[0\]: 3'),
    "an unknown list": (put("nodes/lists/keys", {"lengths": [0] * 3, "values": []}), r"'keys' is no name for nodes; perhaps 'key'"),
    "a list as an array": (put("nodes/lists/key", [[], [1], []]), r'\.nodes\.lists\["key"\]: an object is wanted'),
    "a list without lengths": (drop("nodes/lists/key/lengths"), r'\.nodes\.lists\["key"\]\.lengths: missing'),
    "negative lengths": (put("nodes/lists/key/lengths", [0, -1, 4]), r"\.lengths\[1\]: -1 is no length of a list among 3 values"),
    "giant lengths": (put("nodes/lists/key/lengths", [2**62, 2**62, 2**62]), r"\.lengths\[0\]: 4611686018427387904 is no length"),
    "lengths too many": (put("nodes/lists/key/lengths", [0, 2, 1, 0]), r'offsets of \.nodes\.lists\["key"\]: 5 values for 4 rows'),
    "lengths that do not add up": (put("nodes/lists/key/lengths", [0, 1, 1]), r"the lengths add up to 2 and there are 3 values"),
    "unknown in a list": (put("nodes/lists/key/values/1", None), r"\.values\[1\]: null is no whole number"),
    "a slot of 2**62": (put("nodes/lists/full.device.holds/values/0", 2**62), r"\.values\[0\]: 4611686018427387904 is not a number"),
    "a free slot of 2**62": (put("tree/lists/full.device.free/values/0", 2**62), r'\.tree\.lists\["full.device.free"\]\.values\[0\]'),
}  # fmt: skip


@pytest.mark.parametrize("name", BYTES)
def test_bad_bytes(name: str) -> None:
    data, message = BYTES[name]
    assert message in refused(data)


@pytest.mark.parametrize("name", CHANGES)
def test_bad_documents(name: str) -> None:
    change, message = CHANGES[name]
    assert re.search(message, line := refused(changed(change))), line


def test_the_document_that_is_changed_is_good() -> None:
    assert same(decode(changed(lambda d: None)), small())
    assert same(decode(json.dumps(DOCUMENT, indent=4, sort_keys=True).encode()), small())


def test_a_newer_minor_version_is_read_but_for_what_is_new() -> None:
    def newer(d: dict[str, Any]) -> None:
        d |= {"minor": 7, "extra": {"a": [{"b": {}}], "c": 1}}
        d["nodes"]["columns"]["mood"] = ["happy", None, "sad"]
        d["nodes"]["lists"]["full.device.names"] = {"odd": 1}
        d["origin"]["host"] = "x"

    found = decode(changed(newer))
    assert same(found, small())
    assert len(found.notes) == 4 and all("was left out: a newer version wrote it" in n for n in found.notes)
    assert '.nodes.columns["mood"] was left out' in " ".join(found.notes)
    assert "unknown trait" in refused(changed(lambda d: d.update(minor=7) or put("settings/traits", ["odd"])(d)))
    assert "mood" in refused(changed(put("nodes/columns/mood", ["happy", None, "sad"])))
    twice = changed(newer).replace(b'"c": 1', b'"c": 1, "c": 2')
    assert "'c' is written twice" in refused(twice)


def test_every_truncation_is_refused() -> None:
    for data in (encode(small()).rstrip(), encode(small(), packed=True)):
        for end in range(len(data)):
            refused(data[:end])


def test_every_flipped_byte_is_refused_or_read() -> None:
    rng = random.Random(5)
    for data in (encode(small(), tokens="raw"), encode(small(), tokens="raw", packed=True)):
        for at in range(len(data)):
            survive(data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :])


def survive(data: bytes) -> Snapshot | None:
    try:
        return decode(data)
    except SnapshotError as error:
        assert str(error).isprintable() and len(str(error)) < 400
        return None


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"{", b"\x1f\x8b", b"\x1f\x8b\x08\0\0\0\0\0\0\0", b'{"format":"sanitree-']),
)
def test_random_bytes(data: bytes, start: bytes) -> None:
    refused(start + data)


_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(["full", "write_back", "tiered", "hashed"])
)
_ANYTHING = st.recursive(
    _LEAVES, lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(max_size=4), x, max_size=3)
)


@given(st.data())
def test_random_changes_of_a_document(data: st.DataObject) -> None:
    d: Any = {"": copy.deepcopy(DOCUMENT)}
    for _ in range(data.draw(st.integers(1, 3))):
        place, steps = d, list(d)
        while True:
            step = data.draw(st.sampled_from(steps))
            below = place[step]
            steps = (
                list(below) if isinstance(below, dict) else list(range(len(below))) if isinstance(below, list) else []
            )
            if not steps or data.draw(st.integers(0, 4)) == 0:
                break
            place = below
        action = data.draw(st.sampled_from(["put", "drop", "copy"]))
        if action == "put" or place is d:
            place[step] = data.draw(_ANYTHING)
        elif action == "drop":
            del place[step]
        elif isinstance(place, list):
            place.append(place[step])
        else:
            place[data.draw(st.text(max_size=8))] = place[step]
    found = survive(json.dumps(d[""]).encode("utf-8", "surrogatepass"))
    if found is not None:
        assert same(decode(encode(found, tokens=found.tokens)), found)  # type: ignore[arg-type]


def test_what_is_no_file_is_told_apart(tmp_path: Path) -> None:
    def told(path: Path | str, kind: type[SnapshotError], message: str, code: int) -> None:
        with pytest.raises(kind, match=message) as error:
            read(path)
        assert error.value.exit_code == code and str(error.value).isprintable()

    told(tmp_path / "none.json", SnapshotError, "none.json: there is no such file", 2)
    told(tmp_path, SnapshotError, "no", 2)
    told("a\0b", SnapshotError, "there is no such file", 2)
    told("x" * 5000, SnapshotIOError, "cannot be read: File name too long", 4)
    told("/dev/zero", SnapshotError, "/dev/zero: not a file", 2)
    os.mkfifo(tmp_path / "pipe")
    told(tmp_path / "pipe", SnapshotError, "pipe: not a file", 2)
    (tmp_path / "a\x1b[2J\n.json").write_text("{}")
    told(tmp_path / "a\x1b[2J\n.json", SnapshotError, r"a\\x1b\[2J\\n.json: not a sanitree snapshot", 2)
    (tmp_path / "bad.json").write_bytes(changed(put("nodes/ids/2", 7)))
    told(tmp_path / "bad.json", SnapshotError, r"/bad\.json: \.nodes\.ids\[2\]: id 7 is used twice; a node", 2)


_MEASURE = """
import resource, sys
from sanitree.models.snapshot import SnapshotError, read
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read(sys.argv[1])
except SnapshotError as error:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, error)
"""


@pytest.mark.parametrize(
    ("name", "data", "factor"),
    [
        ("bomb", lambda: gzip.compress(b'{"a": "' + b" " * 2**28, 1), 200),
        ("numbers", lambda: b'{"format": [' + b"0," * 2**22 + b"0]}", 30),
        ("fractions", lambda: b'{"format": [' + b"1e3," * 2**21 + b"0]}", 30),
        ("arrays", lambda: b'{"format": [' + b"[]," * 2**22 + b"0]}", 30),
        ("keys", lambda: b"{" + b'"":0,' * 2**21 + b'"a":0}', 30),
    ],
)
def test_memory_is_bounded_by_the_size_of_the_file(
    tmp_path: Path, name: str, data: Callable[[], bytes], factor: int
) -> None:
    path = tmp_path / f"{name}.json"
    path.write_bytes(data())
    done = subprocess.run([sys.executable, "-c", _MEASURE, str(path)], capture_output=True, text=True, check=True)
    used, _, line = done.stdout.partition(" ")
    assert f"{name}.json" in line and done.stderr == ""
    # MiB; 20 for what the interpreter takes on its first error.
    assert int(used) <= 20 + factor * path.stat().st_size / 2**20, done.stdout
