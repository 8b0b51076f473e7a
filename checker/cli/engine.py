"""`sanitree engine`: real engines to run against, in a cache folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from sanitree.checker.cli.exits import Exit, Trouble
from sanitree.checker.cli.inputs import json_option
from sanitree.checker.cli.output import print_json, progress


@contextmanager
def _told() -> Iterator[None]:
    """Inside, what an engine or its folder fails with is a Trouble."""
    from sanitree.models.engines import store
    from sanitree.models.engines.errors import EngineError

    try:
        yield
    except EngineError as error:
        raise Trouble(str(error), code=Exit.FAILED) from None
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        hint = "set SANITREE_HOME to a folder that can"
        raise Trouble(what, hint, Exit.FAILED, where=str(store.home())) from None


@click.group()
def engine() -> None:
    """Get real engines to run against, and list those at hand.

    They go to $SANITREE_HOME, else to the user's cache folder; nothing is installed
    into this environment.
    """


@engine.command()
@click.argument("versions", nargs=-1, required=True, metavar="VERSION...")
@json_option
def fetch(versions: tuple[str, ...], as_json: bool) -> None:
    """Download versions of SGLang, without their dependencies."""
    from sanitree.models.engines import store
    from sanitree.models.engines.errors import EngineError

    try:
        for version in versions:
            store.refuse_older(
                store.checked(version)
            )  # a slip in the last one should not cost the download of the first
    except EngineError as error:
        raise Trouble(str(error)) from None
    done = []
    for version in versions:
        with _told(), progress(f"fetching sglang {version}") as tell:
            path = store.fetch(version, tell)
        done.append({"version": version, "path": str(path)})
        if not as_json:
            click.echo(f"sglang {version} is in {path}")
    if as_json:
        print_json({"fetched": done})


@engine.command(short_help="Install what engines import on a CPU.")
@json_option
def setup(as_json: bool) -> None:
    """Install what engines import on a CPU, from a lock file, into a folder of their own."""
    from sanitree.models.engines import deps

    with _told(), progress("installing what engines import") as tell:
        path = deps.setup(tell)
    if as_json:
        print_json({"path": str(path)})
    else:
        click.echo(f"what engines import is in {path}")


@engine.command(name="list", short_help="List the versions, and which are fetched.")
@json_option
def list_command(as_json: bool) -> None:
    """List the versions that sanitree knows, and which of them are fetched."""
    from sanitree.models.engines import deps, store

    have = {install.version: install for install in store.installed()}
    versions = sorted({*store.KNOWN_VERSIONS, *have}, key=store.version_key)
    if as_json:
        print_json(
            {
                "home": str(store.home()),
                "dependencies_ready": deps.ready(),
                "engines": [
                    {
                        "version": v,
                        "known": v in store.KNOWN_VERSIONS,
                        "path": str(have[v].path) if v in have else None,
                        "rust_core": have[v].has_rust_core if v in have else None,
                        "bytes": have[v].size if v in have else None,
                    }
                    for v in versions
                ],
            }
        )
        return
    home = store.home()
    click.echo(
        f"sglang in {home}" + (" (not a folder: set SANITREE_HOME)" if home.exists() and not home.is_dir() else "")
    )
    for v in versions:
        told = "not fetched"
        if v in have:
            cores = "Python and Rust core" if have[v].has_rust_core else "Python core"
            told = f"fetched, {have[v].size / 1e6:,.0f} MB, {cores}"
        unknown = "" if v in store.KNOWN_VERSIONS else "  (not a version that sanitree knows how to observe)"
        click.echo(f"  {v:<13} {told}{unknown}")
    ready = "installed" if deps.ready() else "not installed: run `sanitree engine setup`"
    click.echo(f"what engines import: {ready}")
