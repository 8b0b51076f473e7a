"""The pytest plug-in: a cache under watch, of the reference cache or of an engine that is fetched.

    @pytest.mark.sanitree_on("0.5.12")
    def test_it(watched_cache):
        cache = watched_cache(Setup(policy=Policy.WRITE_BACK))
        cache.do(Start((1, 2)))

Every rule is judged after each operation and at teardown. `--sanitree-on VERSION` runs the
same tests on another engine. Nothing is imported before a test asks for it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sanitree.models.driving.operations import Operation
    from sanitree.models.driving.setup import Setup

_MARK = "sanitree_on"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("sanitree").addoption(
        "--sanitree-on", metavar="reference|VERSION", help="drive this in all tests that drive a cache"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f'{_MARK}(where): what a test drives, "reference" or an engine\'s version; skipped if it is not here'
    )


class WatchedCache:
    """A cache that is driven, and judged by every rule. Made by the fixture `watched_cache`."""

    def __init__(self, on: str, setup: Setup) -> None:
        from sanitree.checker.hunt.opening import opened
        from sanitree.checker.hunt.play import Play

        with _quiet():
            self._play = Play(opened(on, setup))

    def do(self, op: Operation) -> str:
        """Does an operation; what came of it. Fails where a rule is violated, or the cache raises.

        What has nothing to act on, because the cache did otherwise before, is left out.
        """
        with _quiet():
            if not self._play.can(op):
                return "nothing to act on"
            self._play.do(op)
        self._fail(op)
        return self._play.results[-1]

    @property
    def is_well(self) -> bool:
        """Whether nothing went wrong yet."""
        return self._play.wrong is None

    def judge(self) -> None:
        """Fails where a rule about the state as it is now is violated."""
        from sanitree.checker.live import sanity_check

        with _quiet():
            sanity_check(self._play.driver.subject())

    def own_check(self) -> None:
        """Fails where the cache's own check complains."""
        with _quiet():
            complaints = self._play.driver.own_check()
        assert not complaints, "\n".join(complaints)

    def leaves_nothing(self) -> None:
        """Ends every request, lets every copy land and evicts everything; fails where slots are left."""
        with _quiet():
            self._play.end()
        self._fail("the end")

    def _fail(self, at: object) -> None:
        wrong = self._play.wrong
        if wrong is not None:
            pytest.fail(f"after {at}: {wrong.text}", pytrace=False)


@pytest.fixture
def watched_cache(request: pytest.FixtureRequest) -> Iterator[Callable[[Setup], WatchedCache]]:
    """Makes a fresh cache of a setup, under watch; all rules are judged once more at teardown."""
    on = _where(request)
    made: list[WatchedCache] = []

    def make(setup: Setup) -> WatchedCache:
        made.append(WatchedCache(on, setup))
        return made[-1]

    yield make
    for cache in made:
        if cache.is_well:
            cache.judge()


def _where(request: pytest.FixtureRequest) -> str:
    """What the test drives; skips where that is not here."""
    mark = request.node.get_closest_marker(_MARK)
    on: str = request.config.getoption("--sanitree-on") or (mark.args[0] if mark else "reference")
    if on != "reference":
        reason = _missing(on)
        if reason:
            pytest.skip(reason)
    return on


def _missing(version: str) -> str:
    """Why an engine cannot be driven in this process; empty where it can."""
    from sanitree.models.engines import deps, shims, store

    if version not in {install.version for install in store.installed()}:
        return f"sglang {version} is not fetched (sanitree engine fetch {version})"
    if not deps.ready():
        return "engine dependencies are not installed (sanitree engine setup)"
    active = shims.active()
    if active not in (None, version):
        return f"sglang {active} runs in this process, and there is one a process: run {version} in another"
    return ""


def _quiet() -> warnings.catch_warnings[None]:
    """Engines warn of this and that, and a project may have warnings raised."""
    return warnings.catch_warnings(action="ignore")
