"""The Rust core's print is caught on file descriptor 1, whoever else prints there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sanitree.models.engines.errors import EngineError
from sanitree.models.engines.rust_listing import listing, printed

TREE = (
    b" [1] 0 full_lock=1 Full=no Swa=no\n"
    b"   [4] 2 full_lock=1 Full=yes Swa=yes\n"
    b"     [5] 3 full_lock=0 Full=no Swa=no\n"
    b"   [9] 1 full_lock=0 Full=yes Swa=no\n"
)


class Core:
    """Prints as a Rust core does; each text once, the last one for ever."""

    def __init__(self, *texts: bytes) -> None:
        self.texts = list(texts)

    def pretty_print(self) -> None:
        os.write(1, self.texts.pop(0) if len(self.texts) > 1 else self.texts[0])


def test_a_print_is_a_tree() -> None:
    tree = listing(Core(TREE))
    assert tree.ids == [1, 4, 5, 9]
    assert tree.parents == [0, 0, 1, 0]
    assert tree.references == [0, 1, 1, 1]
    assert tree.key_len == [0, 2, 3, 1]
    assert tree.lock == [1, 1, 0, 0]
    assert tree.device == {"full": [False, True, False, True], "swa": [False, True, False, False]}
    assert tree.row == {1: 0, 4: 1, 5: 2, 9: 3}


def test_a_node_that_is_listed_twice_is_one_node_with_two_references() -> None:
    again = b"     [4] 2 full_lock=1 Full=yes Swa=yes\n       [5] 3 full_lock=0 Full=no Swa=no\n"
    tree = listing(Core(TREE + again))
    assert tree.ids == [1, 4, 5, 9]
    assert tree.references == [0, 2, 1, 1]


@pytest.mark.parametrize(
    "text", [b"", b"nothing\n", TREE + TREE.replace(b"[1]", b"[2]"), TREE[: TREE.rindex(b" Swa")] + b"\n"]
)
def test_a_print_that_is_no_tree_is_an_error(text: bytes) -> None:
    with pytest.raises(EngineError, match="Rust core"):
        listing(Core(text))


def test_what_others_print_gets_to_where_it_was_meant_to(capfd: pytest.CaptureFixture[str]) -> None:
    lines = TREE.splitlines(keepends=True)
    tree = listing(Core(b"a log line\n" + lines[0] + b"another\n" + b"".join(lines[1:]) + b"and no newline"))
    assert tree.ids == [1, 4, 5, 9]
    assert capfd.readouterr().out == "a log line\nanother\nand no newline"


def test_a_torn_listing_is_taken_again(capfd: pytest.CaptureFixture[str]) -> None:
    torn = TREE.replace(b"   [9]", b"progress:   [9]")
    assert listing(Core(torn, TREE)).ids == [1, 4, 5, 9]
    with pytest.raises(EngineError, match="torn"):
        listing(Core(torn))
    assert capfd.readouterr().out == ""


def test_the_descriptor_is_restored_after_a_panic(capfd: pytest.CaptureFixture[str]) -> None:
    def panic() -> None:
        os.write(1, b"half a lis")
        raise BaseException("panic")  # as pyo3 raises it

    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(BaseException, match="panic"):
        printed(panic)
    os.write(1, b"seen")
    assert capfd.readouterr().out == "seen"
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_closed_descriptor_stays_closed() -> None:
    saved = os.dup(1)
    try:
        os.close(1)
        assert listing(Core(b"other output\n" + TREE)).ids == [1, 4, 5, 9]
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(1)
    finally:
        os.dup2(saved, 1)
        os.close(saved)
