"""The cache folder without the network: pip is replaced by one that writes a small wheel."""

from __future__ import annotations

import itertools
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sanitree.models.engines import deps, process, shims, store
from sanitree.models.engines.errors import EngineError, EngineMissing, EngineRefused


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SANITREE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The members that the next download brings; change it before fetching."""
    members = {
        "sglang/__init__.py": "",
        "sglang/srt/mem_cache/x.py": "x = 1",
        "sglang-1.dist-info/METADATA": "",
        "tools/setup.py": "",
    }

    def pip(command: str, *arguments: str) -> None:
        assert command == "download"
        assert "--no-deps" in arguments
        folder = Path(arguments[arguments.index("--dest") + 1])
        folder.mkdir()
        with zipfile.ZipFile(folder / "sglang-1-py3-none-any.whl", "w") as archive:
            for name, text in members.items():
                archive.writestr(name, text)

    monkeypatch.setattr(store, "pip", pip)
    return members


def test_versions_sort_as_releases_do() -> None:
    ordered = ["0.5.9", "0.5.12rc1", "0.5.12", "0.5.12.post1", "0.5.13", "0.6.0"]
    mixed = ordered[3:] + ordered[:3]
    assert sorted(mixed, key=store.version_key) == ordered
    assert list(store.KNOWN_VERSIONS) == sorted(store.KNOWN_VERSIONS, key=store.version_key)
    assert store.at_least("0.5.12.post1", "0.5.12")
    assert not store.at_least("0.5.9", "0.5.12")


@pytest.mark.parametrize("text", ["--index-url=x", "../0.5.12", "0.5.12; rm", "", "0.5.12\n", "latest", "٠.٥"])
def test_what_is_no_version_reaches_neither_pip_nor_a_path(text: str, wheel: dict[str, str]) -> None:
    for call in (store.fetch, store.find):
        with pytest.raises(EngineError, match="not a version"):
            call(text)


def test_a_fetched_engine_is_found_and_fetched_once(home: Path, wheel: dict[str, str]) -> None:
    told: list[str] = []
    for version in ("0.5.13", "0.5.12.post1", "0.5.12"):
        assert store.fetch(version, told.append) == home / "engines" / f"sglang-{version}"
    assert [install.version for install in store.installed()] == ["0.5.12", "0.5.12.post1", "0.5.13"]
    assert not (home / "engines" / "sglang-0.5.12" / "tools").exists()
    wheel.clear()
    store.fetch("0.5.13", told.append)
    assert told[-1] == "sglang 0.5.13 is already here"
    assert store.find("0.5.13").size == len("x = 1")
    assert not store.find("0.5.13").has_rust_core


def test_an_engine_that_is_not_there_says_how_to_get_it() -> None:
    assert store.installed() == []
    with pytest.raises(EngineMissing, match=r"sanitree engine fetch 0\.5\.12"):
        store.find("0.5.12")
    with pytest.raises(EngineMissing, match="sanitree engine setup"):
        deps.find()
    with pytest.raises(EngineMissing):
        process.run_in_engine("0.5.12", "os:getpid")


@pytest.mark.parametrize("name", ["../evil.py", "/evil.py", "sglang/../../evil.py", "sglang\\..\\evil.py"])
def test_a_wheel_cannot_write_outside_its_folder(home: Path, wheel: dict[str, str], name: str) -> None:
    wheel[name] = "evil"
    with pytest.raises(EngineError, match="outside itself"):
        store.fetch("0.5.12")
    assert list((home / "engines").iterdir()) == []


def test_a_wheel_cannot_bring_links(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(*arguments: str) -> None:
        folder = Path(arguments[arguments.index("--dest") + 1])
        folder.mkdir()
        with zipfile.ZipFile(folder / "sglang-1-py3-none-any.whl", "w") as archive:
            link = zipfile.ZipInfo("sglang/link")
            link.external_attr = 0o120777 << 16
            archive.writestr(link, "/etc")

    monkeypatch.setattr(store, "pip", pip)
    with pytest.raises(EngineError, match="holds a link"):
        store.fetch("0.5.12")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"not a zip" * 100])
def test_a_broken_wheel_is_one_clear_error(home: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    def pip(*arguments: str) -> None:
        folder = Path(arguments[arguments.index("--dest") + 1])
        folder.mkdir()
        (folder / "sglang-1-py3-none-any.whl").write_bytes(content)

    monkeypatch.setattr(store, "pip", pip)
    with pytest.raises(EngineError, match="cannot unpack"):
        store.fetch("0.5.12")
    assert list((home / "engines").iterdir()) == []


def test_a_wheel_without_the_package_is_refused(wheel: dict[str, str]) -> None:
    del wheel["sglang/__init__.py"]
    with pytest.raises(EngineError, match="no sglang package"):
        store.fetch("0.5.12")
    assert store.installed() == []


def test_pip_failing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        error = "ERROR: Could not find 1.2 (from versions: 1.0, 1.1)\nERROR: No matching distribution\n"
        return subprocess.CompletedProcess(command, 1, "", error)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(EngineError) as caught:
        store.fetch("0.5.99")
    assert str(caught.value) == "pip download failed: Could not find 1.2 ERROR: No matching distribution"


def test_every_dependency_is_pinned_exactly_and_none_shadows_ours() -> None:
    pins = deps.pins()
    assert len(pins) > 40
    assert all(name and version for name, version in pins.items())
    brought = {"torch", "numpy", "sympy", "networkx", "filelock", "fsspec", "jinja2", "click", "rich", "orjson"}
    assert not brought & set(pins)


def test_setup_installs_once_or_not_at_all(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = itertools.count()

    def pip(*arguments: str) -> None:
        assert "--no-deps" in arguments
        folder = Path(arguments[arguments.index("--target") + 1])
        folder.mkdir()
        if next(calls) == 0:
            raise EngineError("pip install failed: no route")

    monkeypatch.setattr(deps, "pip", pip)
    with pytest.raises(EngineError, match="no route"):
        deps.setup()
    assert not deps.ready()
    assert list((home / "engine-deps").iterdir()) == []
    assert deps.setup() == deps.setup() == deps.find()
    assert next(calls) == 2


def test_shims_keep_out_of_real_engines(home: Path, wheel: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    import torch

    store.fetch("0.5.12")
    (deps.place()).mkdir(parents=True)
    (deps.place() / ".complete").touch()
    before = list(sys.path), list(sys.meta_path)
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)
        with pytest.raises(EngineRefused, match="GPU"):
            shims.activate("0.5.12")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "sglang", types.ModuleType("sglang"))
        with pytest.raises(EngineRefused, match="already imported"):
            shims.activate("0.5.12")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(home / "engines" / "sglang-0.5.12"))
        with pytest.raises(EngineRefused, match="installed"):
            shims.activate("0.5.12")
    assert (list(sys.path), list(sys.meta_path)) == before
    assert shims.active() is None
