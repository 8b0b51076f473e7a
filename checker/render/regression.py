"""A trace as a test that a person would have written."""

from __future__ import annotations

import re

from sanitree.models.driving.operations import Operation
from sanitree.models.driving.setup import Setup
from sanitree.models.driving.trace import Found, Trace


def as_test(trace: Trace, on: str) -> str:
    """A pytest module that fails where the trace's finding is, and passes where it is not.

    It needs sanitree, whose pytest plug-in brings the fixture, and the engine, fetched.
    """
    kinds = sorted({type(d.operation).__name__ for d in trace.operations})
    setup = trace.setup
    words = sorted({*(c.name.upper() for c in setup.components), "Policy"}, key=str.lower)
    steps = "\n".join(f"    cache.do({_call(d.operation)})" for d in trace.operations)
    return _TEST.format(
        title=_title(trace.found, setup, on),
        words=", ".join(words),
        kinds=", ".join(kinds),
        setup=",\n    ".join(_setup(setup)),
        mark=f'@pytest.mark.sanitree_on("{on}")',
        name=_name(trace.found),
        steps=steps or "    pass",
        end=_ENDS.get(trace.found.kind, "") if trace.found else "",
    )


_ENDS = {"complaint": "    cache.own_check()\n", "leak": "    cache.leaves_nothing()\n"}

_TEST = '''\
"""{title}

Written by `sanitree replay --pytest`. To run it on another engine: pytest --sanitree-on VERSION
"""

import pytest

from sanitree.invariants.vocabulary import {words}
from sanitree.models.driving.operations import {kinds}
from sanitree.models.driving.setup import Setup

SETUP = Setup(
    {setup},
)


{mark}
def test_{name}(watched_cache):
    cache = watched_cache(SETUP)  # every rule is judged after each step
{steps}
{end}'''


def _title(found: Found | None, setup: Setup, on: str) -> str:
    where = "the reference cache" if on == "reference" else f"SGLang {on}"
    what = "nothing goes wrong" if found is None else _plain(found)
    return f"{what}: found in {where} under {setup.policy.value}."


def _plain(found: Found) -> str:
    return " ".join(re.sub(r'["\\]', "'", ", ".join(found.names[:3])).split())


def _name(found: Found | None) -> str:
    if found is None:
        return "nothing_goes_wrong"
    return re.sub(r"\W+", "_", found.names[0]).strip("_").lower()[:60] or "finding"


def _setup(setup: Setup) -> list[str]:
    names = ", ".join(c.name.upper() for c in setup.components)
    told = {
        "policy": f"Policy.{setup.policy.name}",
        "components": f"({names},)" if len(setup.components) == 1 else f"({names})",
        **{n: repr(getattr(setup, n)) for n in ("page_size", "device_pages", "host_pages", "states", "window")},
        **{n: repr(getattr(setup, n)) for n in ("core", "fault") if getattr(setup, n) is not None},
        **({"ranks": repr(setup.ranks)} if setup.ranks > 1 else {}),
    }
    return [f"{name}={value}" for name, value in told.items()]


def _call(op: Operation) -> str:
    return f"{type(op).__name__}({', '.join(repr(getattr(op, name)) for name in op.__slots__)})"
