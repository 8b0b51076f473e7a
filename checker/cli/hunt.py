"""`sanitree hunt`: searches a live cache for operations after which something is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sanitree.checker.cli.exits import Exit, Trouble
from sanitree.checker.cli.inputs import Names, broken_plugins_told, chosen_components, json_option, known_components
from sanitree.checker.cli.output import console, print_json, progress, show, show_lockstep
from sanitree.invariants.vocabulary import Policy
from sanitree.models.ranks.group import MOST_RANKS

if TYPE_CHECKING:
    from sanitree.checker.hunt.hunt import Hunt
    from sanitree.models.driving.setup import Setup


@click.command()
@click.option("--on", required=True, metavar="NAME", help='"reference", or the version of a fetched engine.')
@click.option("--policy", type=click.Choice([p.value for p in Policy]), default="write_through", show_default=True)
@click.option("--components", type=Names("component", known_components), default="full", show_default=True,
              metavar="NAMES", help="What the cache keeps, e.g. full,swa.")  # fmt: skip
@click.option("--core", type=click.Choice(["python", "rust", "both"]),
              help="Of an engine that has two; both compares them.")  # fmt: skip
@click.option("--page", type=click.IntRange(1, 64), default=1, show_default=True, metavar="TOKENS",
              help="Tokens in a page.")  # fmt: skip
@click.option("--ranks", type=click.IntRange(1, MOST_RANKS), default=1, show_default=True, metavar="N",
              help="Ranks of one server, each with a cache of its own, that must agree.")  # fmt: skip
@click.option("--fault", metavar="NAME", help="Switch on a fault of the reference cache: see docs/faults.md.")
@click.option("--budget", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True, metavar="SECONDS",
              help="Time to search; what is found is shrunk and confirmed besides.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed, other guesses.")
@click.option("--jobs", type=click.IntRange(1, 256), metavar="N", help="Processes. [default: as many as cores]")
@click.option(
    "--save",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Write a trace file of each finding, and of several ranks each one's snapshot.",
)
@click.option("--lockstep", is_flag=True, help="The page model follows every call: see docs/lockstep.md.")
@json_option
def hunt(
    on: str,
    policy: str,
    components: tuple[str, ...],
    core: str | None,
    page: int,
    ranks: int,
    fault: str | None,
    budget: float,
    seed: int,
    jobs: int | None,
    save: str | None,
    lockstep: bool,
    as_json: bool,
) -> int:
    """Search a live cache for operations after which something is wrong.

    Everything a scheduler does, in any order, on small caches: all of it to a small
    depth, then guided by what is new. After each call every rule is judged. What is
    found is shrunk, and done again in a fresh process.

    Exits 0 where nothing was found, which proves nothing; 1 where something was, and was
    confirmed; 3 where it was not confirmed; 4 where the hunt itself failed; 130 when it was
    interrupted before anything was found.
    """
    from sanitree.checker.hunt.hunt import hunt as search
    from sanitree.checker.hunt.told import plain, progress_line, render
    from sanitree.models.driving.setup import Setup

    with broken_plugins_told():
        setup = Setup(
            policy=Policy(policy), components=chosen_components(components), page_size=page, window=2 * page, core=core,
            fault=fault, ranks=ranks,
        )  # fmt: skip
    _refuse(on, setup)
    with progress(f"starting {on}") as tell:
        found = search(on, setup, budget, seed, jobs, lambda h: tell(progress_line(h)), lockstep)
    files = [] if save is None else _saved(found, Path(save))
    code = conclude(found)
    if as_json:
        print_json(plain(found, int(code), files))
    else:
        show(console(), render(found, files))
        show_lockstep(console())
    return code


def conclude(found: Hunt) -> Exit:
    """The exit that goes with what a hunt came to."""
    from sanitree.checker.hunt import told

    if found.interrupted and not found.findings:
        return Exit.INTERRUPTED
    return {
        told.VIOLATED: Exit.VIOLATED, told.UNSURE: Exit.INCONCLUSIVE, told.FAILED: Exit.FAILED,
        told.NOTHING: Exit.HOLDS,
    }[told.verdict(found)]  # fmt: skip


def _refuse(on: str, setup: Setup) -> None:
    """Trouble for what cannot be, before any process is started."""
    from sanitree.models.engines import deps, store
    from sanitree.models.engines.errors import EngineError

    if setup.core == "both" and setup.ranks > 1:
        raise Trouble("both cores, or several ranks, but not at once", "leave one of --core both and --ranks out")
    if on != "reference":
        if setup.fault is not None:
            raise Trouble(f"--fault is of the reference cache, not of {on}", "use --on reference")
        try:
            store.refuse_older(store.checked(on))
        except EngineError as error:
            raise Trouble(str(error)) from None
        try:
            store.find(on)
            deps.find()
        except EngineError as error:
            raise Trouble(str(error), code=Exit.FAILED) from None
        return
    from sanitree.models.driving.reference import config_of
    from sanitree.models.reference.errors import CacheError
    from sanitree.models.reference.faults import FAULTS, RANK_FAULTS

    faults = FAULTS | RANK_FAULTS if setup.ranks > 1 else FAULTS
    if setup.core is not None:
        raise Trouble("the reference cache has one core", "leave --core out")
    if setup.fault is not None and setup.fault not in faults:
        if setup.fault in RANK_FAULTS:
            raise Trouble(f"{setup.fault} is a fault of one rank among several", "add --ranks 2")
        raise Trouble(f"no fault is called {setup.fault!r}", f"there are {', '.join(faults)}")
    try:
        config = config_of(setup)
    except CacheError as error:
        raise Trouble(str(error)) from None
    if setup.fault is not None and not faults[setup.fault].fits(config):
        raise Trouble(
            f"{setup.fault} cannot show under {setup.policy.value} with {'+'.join(c.name for c in setup.components)}",
            "docs/faults.md has the caches in which each fault shows",
        )


def _saved(found: Hunt, folder: Path) -> list[str]:
    """Writes a trace file of each finding; their names."""
    import orjson

    from sanitree.checker.hunt.told import rank_files
    from sanitree.models.driving.trace import write
    from sanitree.models.snapshot import SnapshotError
    from sanitree.models.snapshot import write as write_state
    from sanitree.models.snapshot.document import from_document

    files: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, f in enumerate(found.findings, 1):
            names = (found.on, found.setup.policy.value, *(c.name for c in found.setup.components), f.wrong.names[0])
            stem = re.sub(r"[^\w.-]+", "-", "-".join(names))[:100]
            file = folder / f"{stem}-{number}.json"
            write(f.trace(found.on), file)
            files.append(str(file))
            states = () if f.confirmed is None else f.confirmed.states
            for name, state in zip(rank_files(f, str(file)), states, strict=True):
                write_state(from_document(orjson.loads(state))[0], name, tokens="raw")
    except (OSError, SnapshotError) as error:
        raise Trouble(
            f"cannot write to {folder}: {getattr(error, 'strerror', None) or error}", code=Exit.FAILED
        ) from None
    return files
