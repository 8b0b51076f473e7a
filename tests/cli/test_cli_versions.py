"""Versions as the command line takes them: which sort where, and which are refused."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from sanitree.checker.cli.exits import Exit
from sanitree.models.engines import store
from sanitree.models.engines.errors import EngineError
from tests.cli.caches import small

Run = Callable[..., Result]
Write = Callable[..., str]


def test_versions_that_a_running_engine_reports_sort_as_they_should() -> None:
    ordered = [
        "0.5.18.post1", "0.5.19.dev3", "0.5.19.dev12+g1a2b3c4", "0.5.19a1", "0.5.19rc1.dev2", "0.5.19rc1", "0.5.19",
        "0.5.19.post1.dev1", "0.5.19.post1", "0.5.20.dev0",
    ]  # fmt: skip
    assert sorted({*ordered}, key=store.version_key) == ordered
    assert store.version_key("0.5.19+cu128") == store.version_key("0.5.19")
    assert store.version_key("0.5.19.post1+cu128.x-1") == store.version_key("0.5.19.post1")


@pytest.mark.parametrize("text", ["0.5.19+", "0.5.19.dev", "0.5.19+../x", "0.5.19\n", "latest", "", "0.5.19+a b"])
def test_what_is_no_version_has_no_place(text: str) -> None:
    with pytest.raises(EngineError, match="not a version"):
        store.version_key(text)


@pytest.mark.parametrize("text", ["0.5.19.dev3", "0.5.19+cu128"])
def test_only_releases_are_fetched(text: str) -> None:
    with pytest.raises(EngineError, match="not a version"):
        store.checked(text)


def test_a_version_from_before_the_known_ones_is_refused(run: Run, write: Write) -> None:
    for words in (
        ("check", write(small()), "--engine-version", "0.5.11"), ("rules", "--engine-version", "0.5.12rc1"),
        ("engine", "fetch", "0.5.23", "0.4.9"),
    ):  # fmt: skip
        result = run(*words)
        assert result.exit_code == Exit.USAGE, words
        assert f"sglang {words[-1]} is older than the versions that sanitree knows (0.5.12 to " in result.stderr


def test_a_version_from_after_the_known_ones_is_judged_as_the_newest(run: Run, write: Write) -> None:
    newest = store.KNOWN_VERSIONS[-1]
    told = run("check", "--json", write(small()), "--engine-version", "0.9.9")
    line = f"0.9.9 is not a version sanitree knows (0.5.12 to {newest}); judged as {newest}"
    assert told.stderr.splitlines() == [line]
    known = run("check", "--json", write(small()), "--engine-version", newest)
    assert not known.stderr
    assert known.stdout == told.stdout
    assert not run("check", write(small()), "--engine-version", "0.5.19+cu128").stderr


_NONE = (
    "ERROR: Could not find a version that satisfies the requirement x (from versions: {})\n"
    "ERROR: No matching distribution found for x\n"
)
_RETRY = "WARNING: Retrying (Retry(total=4, connect=None)) after connection broken\n"


@pytest.mark.parametrize(
    ("stderr", "told"),
    [
        (
            _NONE.format("0.1, 0.2"),
            "sglang 0.9.99 is not in your package index; `sanitree engine list` shows",
        ),
        (_RETRY + _NONE.format("none"), "the package index cannot be reached"),
        ("ERROR: disk full", "pip download failed: disk full"),
    ],
)
def test_why_nothing_was_fetched(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, told: str
) -> None:
    monkeypatch.setenv("SANITREE_HOME", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", lambda c, **_: subprocess.CompletedProcess(c, 1, "", stderr))
    result = run("engine", "fetch", "0.9.99")
    assert result.exit_code == Exit.FAILED
    assert told in result.stderr
    assert "No matching" not in result.stderr
