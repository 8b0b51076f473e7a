"""What commands take: snapshot files, rules, and settings that override those in the file."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sanitree.checker.cli.exits import Exit, Trouble
from sanitree.invariants.vocabulary import COMPONENTS, TRAITS, Component, Policy, Settings

if TYPE_CHECKING:
    from sanitree.invariants.rules import Rule
    from sanitree.models.snapshot import Snapshot

F = TypeVar("F", bound=Callable[..., Any])


class Names(click.ParamType[tuple[str, ...]] if TYPE_CHECKING else click.ParamType):
    """A comma-separated list of known names; with `adjust`, +name and -name change what is there."""

    def __init__(self, kind: str, known: Sequence[str], adjust: bool = False) -> None:
        self.name, self.known, self.adjust = kind, known, adjust

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(part.strip() for part in value.split(",") if part.strip())
        for name in names:
            bare = name[1:] if self.adjust and name[0] in "+-" else name
            if bare not in self.known:
                self.fail(f"no {self.name} is called {bare!r}{closest(bare, self.known)}", param, ctx)
        if self.adjust and len({name[0] in "+-" for name in names}) > 1:
            self.fail("either name all traits, or put + or - before each", param, ctx)
        return names


def closest(name: str, known: Sequence[str]) -> str:
    """The end of a message about a name that is not known: what was probably meant, else all there is."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(known)}" if len(known) < 20 else ""


def setting_options(f: F) -> F:
    """--policy, --components and --traits."""
    for option in (
        click.option(
            "--traits", type=Names("trait", list(TRAITS), adjust=True), metavar="NAMES",
            help="Judge as an engine with these traits, e.g. tiered,host_leaf_unlocked; or change some: --traits=-tiered.",
        ),
        click.option(
            "--components", type=Names("component", list(COMPONENTS)), metavar="NAMES",
            help="Judge these components, e.g. full,swa.",
        ),
        click.option("--policy", type=click.Choice([p.value for p in Policy]), help="Judge as under this write policy."),
    ):  # fmt: skip
        f = option(f)
    return f


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")


def components_of(names: Sequence[str]) -> tuple[Component, ...]:
    """Components by name, the backbone first as everywhere."""
    return tuple(c for name, c in COMPONENTS.items() if name in names)


def override(
    s: Settings, policy: str | None, components: Sequence[str] | None, traits: Sequence[str] | None
) -> Settings:
    """`s` with what the command line says put in its place."""
    if policy:
        s = replace(s, policy=Policy(policy))
    if components:
        s = replace(s, components=components_of(components))
    if traits is not None:
        changed = {t for t in traits if t[0] not in "+-"} or s.traits
        gained, lost = ({t[1:] for t in traits if t[0] == sign} for sign in "+-")
        s = replace(s, traits=frozenset((changed | gained) - lost) if traits else frozenset())
    return s


def load(path: str) -> Snapshot:
    """The snapshot in a file; Trouble says what is wrong with it."""
    from sanitree.models.snapshot import SnapshotError, read

    try:
        return read(Path(path))
    except SnapshotError as error:
        raise Trouble(str(error).removeprefix(f"{path}: "), where=path, exit=Exit(error.exit_code)) from None
    except OSError as error:
        raise Trouble(f"cannot be read: {error.strerror or error}", where=path) from None
    except MemoryError:
        raise Trouble("does not fit into memory", where=path, exit=Exit.FAILED) from None


def catalogue() -> tuple[Rule, ...]:
    """Every rule there is."""
    from sanitree.invariants.catalogue import CATALOGUE

    return CATALOGUE


def choose_rules(ids: Sequence[str] = (), family: str | None = None) -> tuple[Rule, ...]:
    """The rules with these ids, or all, of a family, or of all."""
    rules = catalogue()
    known = {r.id: r for r in rules}
    for wanted in ids:
        if wanted not in known:
            near = difflib.get_close_matches(wanted, list(known), n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}?" if near else "`sanitree rules` lists them"
            raise Trouble(f"no rule is called {wanted!r}", hint=hint)
    chosen = tuple(known[i] for i in dict.fromkeys(ids)) if ids else rules
    if family:
        chosen = tuple(r for r in chosen if _plain(r.family.value) == _plain(family))
        if not chosen:
            raise Trouble(f"none of these rules is of the family {family!r}")
    return chosen


def _plain(family: str) -> str:
    return family.replace("-", " ").replace("_", " ")


def family_option(f: F) -> F:
    """--family, under the names that reports use; "leaf-sets" spares the quotes."""
    from sanitree.invariants.rules import Family

    names = [x.value.replace(" ", "-") for x in Family]
    return click.option("--family", type=click.Choice(names), help="Only rules of this family.")(f)
