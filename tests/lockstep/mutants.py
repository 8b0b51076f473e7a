"""Models that are wrong on purpose, in one condition of one guard: is each told from the caches?

    python -m tests.lockstep.mutants [--on 0.5.23 reference] [--questions 3000] [--jobs 2] [--write]

Each condition of each guard is negated, and is left out. A negated one forbids what caches do: the mutant cannot follow
a call that the model follows. One that is left out allows more than the model, and no cache that the model follows
could give that away; so the cache is asked. Where the mutant allows an action and the model does not, and the action
would change something, an operation that a scheduler has is done which leads to it where it is allowed. The mutant is
told when no call of the cache came to what the action comes to, so often that one would have by 99 in 100, at the rate
at which they do where the model allows it.

A condition that can be left out without any reachable state in which that allows more, or without anything that would
change there, or where another action changes just the same, makes no difference, and is no mutant: the explorer looks
for such a state on a small tree. Of a release nothing can be asked, as nobody gives back a lock that he has not taken;
a backup is asked of a page on which a match ends, as no other way leads to one alone, and of pages that are not there;
hits are the cache's to count.

What was not told so is led to: of each page where the mutant would allow more, and of each where the action is taken
that it forbids, the explorer has a shortest run of what a cache can do, on a trie of four pages and in pools of several
sizes; the cache does it, and is asked there, or followed. Where no run of what a cache can do comes to such a state, it
makes no difference to caches. `--write` writes docs/lockstep-mutants.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path as File
from random import Random
from typing import Any

from sanitree.checker.hunt.moves import Chooser, Style
from sanitree.checker.lockstep.model import Model
from sanitree.checker.perform.perform import Run, perform, ways
from sanitree.checker.perform.runs import of_plain, plain
from sanitree.invariants.plugins import component
from sanitree.invariants.vocabulary import Component, Policy
from sanitree.models.driving.open import open_driver
from sanitree.models.driving.setup import Setup
from sanitree.models.engines.process import run_in_engine
from sanitree.models.protocol.pages import Pages
from sanitree.models.protocol.pages.config import binary
from tests.hunt.campaign import SETS
from tests.lockstep.asking import CONFIDENCE, Asked, Asker, Watched, alone, asking, parts_from
from tests.lockstep.wrong_models import LEFT_OUT, NEGATED, Mutant, doing, indifferent, leads, mutants

ROOT = File(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "lockstep-mutants.md"
POOLS = ((6, 3), (3, 2), (4, 2), (5, 4))
"""Device and host pages of the caches that are led."""

COPIES = ("copy_write", "copy_load")
"""What moves at once is decided by our stand-in for the streams, and by no cache."""

TOLD, SAME, UNTOLD, UNDRIVEN = "told", "makes no difference", "not told", "not driven"


def tell(on: str, core: str | None, policy: str, components: list[str], questions: int) -> dict[str, Any]:
    """What comes of every mutant on one kind of cache, after so many questions at most; in the engine's process."""
    setup = _setup(core, policy, components, 8, 5)
    driver, rng, begun = open_driver(on, setup), Random(f"{policy} {components}"), time.monotonic()
    asker: Asker | None = None
    runs: list[Watched] = []
    often: Counter[str] = Counter()
    while asker is None or (asker.book.questions < questions and (asker.open or len(runs) < 6)):
        w = Watched(driver)
        made = w.follower.model
        if asker is None:
            every = list(mutants(made.system))
            asker = Asker(made.system, every, setup, rng)
        chooser = Chooser(rng, Style.eventful(setup) if rng.random() < 0.5 else Style.draw(rng, setup), setup)
        for _ in range(40):
            if not w.do(chooser.move(w.play.books)) or not asker.ask(w):
                break
        w.end()
        took = {name for name, _ in w.took}
        if w.followed and any(often[name] < 3 for name in took):
            runs.append(w)
            often.update(took)
    b = asker.book
    told = {m.key: _verdict(m, b, often, runs, made) for m in every}
    return {
        "on": on, "core": core, "policy": policy, "components": components, "told": told,
        "names": {m.key: m.name for m in every}, "asked": dict(b.asked), "did": dict(b.did),
        "rates": {n: b.done[n] / (k + 1) for n, k in b.allowed.items()}, "seconds": round(time.monotonic() - begun, 1),
    }  # fmt: skip


def _setup(core: str | None, policy: str, components: list[str], device: int, host: int) -> Setup:
    kinds = tuple(c for c in map(component, components) if c is not None)
    rooms = {"device_pages": device, "host_pages": host, "states": max(3, device // 2)}
    return Setup(policy=Policy(policy), components=kinds, window=2, core=core, **rooms)


def _verdict(m: Mutant, b: Asked, often: Counter[str], runs: list[Watched], made: Model) -> str:
    if not b.driven(m.action.name) and not often[m.action.name]:
        return UNDRIVEN
    if m.how == LEFT_OUT and m.action.name in COPIES:
        return UNDRIVEN
    if m.how == LEFT_OUT:
        return TOLD if b.told(m) else SAME if b.twins[m.key] and not b.asked[m.key] else UNTOLD
    met = [x for x in runs if any(name == m.action.name for name, _ in x.took)]
    return TOLD if any(parts_from(_wrong(made, m), x.first, x.calls) for x in met) else UNTOLD


def _wrong(made: Model, m: Mutant) -> Model:
    actions = {**made.programs.actions, m.action.name: doing(made.system, m)}
    return replace(made, programs=replace(made.programs, actions=actions))


# Led to where it shows.


def led(
    on: str, core: str | None, policy: str, components: list[str], pools: tuple[int, int], told: list[dict[str, Any]],
    negated: list[str],
) -> dict[str, Any]:  # fmt: skip
    """What a cache of these pools comes to where it is led; in the engine's process.

    negated: keys of mutants that forbid. parts: those that cannot follow it; asked, did: of the others, and controls.
    """
    driver = open_driver(on, _setup(core, policy, components, *pools))
    asked: Counter[str] = Counter()
    did: Counter[str] = Counter()
    parts: set[str] = set()
    by_key: dict[str, Mutant] = {}
    for x in told:
        run = of_plain(x["run"])
        p = perform(driver, run)
        if p.moves < len(run.moves):
            continue
        w = Watched(driver)
        w.do(p.operations)
        by_key = by_key or {m.key: m for m in mutants(w.follower.model.system)}
        done = _asked_there(w, x, run, by_key)
        w.end()
        if done is not None:
            asked[x["of"]] += 1
            did[x["of"]] += done
        if x["control"]:
            made = w.follower.model
            of_it = [key for key in negated if by_key[key].action.name == x["action"] and key not in parts]
            parts |= {key for key in of_it if w.followed and parts_from(_wrong(made, by_key[key]), w.first, w.calls)}
    return {"asked": dict(asked), "did": dict(did), "parts": sorted(parts)}


def _asked_there(w: Watched, x: dict[str, Any], run: Run, by_key: dict[str, Mutant]) -> bool | None:
    """Whether the cache does what it is asked for; None where it cannot be asked."""
    size = w.driver.setup.page_size
    path = run.path(x["page"], size)
    legal = w.follower.model.programs.actions[x["action"]]
    wanted = legal if x["control"] else doing(w.follower.model.system, by_key[x["of"]])
    state, paths = w.follower.state([path[: i + 1] for i in range(len(path))])
    page = paths.index(path)
    if not wanted.allowed(state, page) or (not x["control"] and legal.allowed(alone(state), page)):
        return None
    there = replace(run, moves=(*run.moves, (x["action"], x["page"])))
    way = next(ways(there, len(run.moves), w.play.books), None)
    if x["action"] in COPIES:
        way = asking(x["action"], path, w, "") or None
    if way is None or not w.play.can(way[0]) or not w.askable(x["action"], path):
        return None
    return w.does(way, (wanted, None if x["control"] else legal, path))[0]


# The whole.


def one(on: str, core: str | None, policy: Policy, components: tuple[Component, ...], questions: int) -> dict[str, Any]:
    """A kind of cache."""
    names = [c.name for c in components]
    cell = {"on": on, "core": core, "policy": policy.value, "components": names}
    found: dict[str, Any] = _there(on, "tell", {**cell, "questions": questions})
    told = found["told"]
    for key in indifferent(policy, components, _left(told, LEFT_OUT)):
        told[key] = SAME
    asked, did = Counter(found["asked"]), Counter(found["did"])
    reached: set[str] = set()
    for device, host in POOLS:
        m = Pages(policy, components, binary(4), device=device, host=host, copies=4, requests=2, window=2)
        to_lead = leads(m, _left(told, ""))
        reached |= {x.of for x in to_lead}
        if not to_lead:
            continue
        plainly = [{"of": x.of, "control": x.control, "action": x.action, "page": x.page, "run": plain(x.run)}
                   for x in to_lead]  # fmt: skip
        more = {"pools": [device, host], "told": plainly, "negated": sorted(_left(told, NEGATED))}
        led_to = _there(on, "led", {**cell, **more})
        told |= dict.fromkeys(led_to["parts"], TOLD)
        asked.update(led_to["asked"])
        did.update(led_to["did"])
    for key in _left(told, LEFT_OUT):
        action = key.split()[1]
        rate = max(found["rates"].get(action, 0.0), did[action] / (asked[action] + 1))
        if key not in reached and not asked[key]:
            told[key] = SAME
        elif not did[key] and asked[key] and (1 - rate) ** asked[key] < CONFIDENCE:
            told[key] = TOLD
    for key in _left(told, NEGATED):
        if key.split()[1] not in reached and not found["rates"].get(key.split()[1]):
            told[key] = SAME  # nobody was seen to do it, and no run comes to where it may be done
    return {**found, "asked": dict(asked), "did": dict(did)}


def _left(told: dict[str, str], how: str) -> set[str]:
    return {key for key, verdict in told.items() if verdict == UNTOLD and key.startswith(how)}


def _there(on: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    if on == "reference":
        here: dict[str, Any] = {"tell": tell, "led": led}[name](**arguments)  # type: ignore[operator]
        return here
    there: dict[str, Any] = run_in_engine(on, f"tests.lockstep.mutants:{name}", arguments, search=[ROOT], timeout=7200)
    return there


def lines(results: list[dict[str, Any]], day: str, questions: int) -> Iterator[str]:
    """The page."""
    count: Counter[str] = Counter(v for r in results for v in r["told"].values())
    share = count[TOLD] / max(1, count[TOLD] + count[UNTOLD])
    yield "<!-- Written by `python -m tests.lockstep.mutants --write`. -->"
    yield ""
    yield "# Lockstep: models that are wrong on purpose"
    yield ""
    doc = (__doc__ or "").split("\n\n")
    yield " ".join(doc[2].split())
    yield ""
    yield " ".join(doc[3].split())
    yield ""
    yield " ".join(doc[4].split()).replace("`--write` writes docs/lockstep-mutants.md.", "").strip()
    yield ""
    yield (
        f"`python -m tests.lockstep.mutants --questions {questions}`, {day}: **{100 * share:.1f} % are told** "
        f"({count[TOLD]:,} of {count[TOLD] + count[UNTOLD]:,}; {count[SAME]:,} more make no difference, and of "
        f"{count[UNDRIVEN]:,} the action is one to which no operation leads in that kind of cache, as prefetches are "
        "of full attention alone, or what a copy moves at once, which our stand-in for the streams decides)."
    )
    yield ""
    yield "| cache | policy | components | negated: told | left out: told | no difference | not told |"
    yield "|---|---|---|---|---|---|---|"
    for r in results:
        c = Counter((k.startswith(NEGATED), v) for k, v in r["told"].items())
        yield (
            f"| {r['on']} {r['core'] or ''} | {r['policy']} | {'+'.join(r['components'])} | {c[True, TOLD]} "
            f"| {c[False, TOLD]} | {c[False, SAME] + c[True, SAME]} | {c[True, UNTOLD] + c[False, UNTOLD]} |"
        )
    yield ""
    yield "## Not told"
    yield ""
    where: dict[str, list[str]] = defaultdict(list)
    for r in results:
        for name, verdict in r["told"].items():
            if verdict == UNTOLD:
                where[r["names"][name]].append(f"{r['on']} {r['policy']} {'+'.join(r['components'])}")
    for name, cells in sorted(where.items()):
        yield f"- {name} ({', '.join(cells)})"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--on", nargs="*", default=["0.5.23", "reference"])
    parser.add_argument("--questions", type=int, default=3000, help="at most, of each kind of cache")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--policies", nargs="*", default=[p.value for p in Policy])
    parser.add_argument("--components", nargs="*", default=["full", "full+swa", "full+mamba"])
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    cells = [
        (on, None if on == "reference" else "python", Policy(p), cs)
        for on in args.on
        for p in args.policies
        for cs in SETS
        if "+".join(c.name for c in cs) in args.components
    ]
    results = []
    with ThreadPoolExecutor(args.jobs) as pool:
        for r in pool.map(lambda cell: one(*cell, args.questions), cells):
            results.append(r)
            c = Counter(r["told"].values())
            print(r["on"], r["policy"], "+".join(r["components"]), dict(c), f"{r['seconds']} s", flush=True)
            for name, verdict in r["told"].items():
                if verdict == UNTOLD:
                    asked, did = r["asked"].get(name, 0), r["did"].get(name, 0)
                    print("   ", r["names"][name][:150], f"asked {asked}, did {did}", flush=True)
            print("   ", {n: round(rate, 2) for n, rate in r["rates"].items()}, flush=True)
    if args.write:
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        PAGE.write_text("\n".join(lines(results, day, args.questions)) + "\n", encoding="utf-8")
    told = Counter(v for r in results for v in r["told"].values())
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
