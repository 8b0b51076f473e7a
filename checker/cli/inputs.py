"""What commands take: snapshot files, rules, and settings that override those in the file."""

from __future__ import annotations

import difflib
import functools
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from sanitree.checker.cli.exits import Exit, Trouble
from sanitree.invariants.vocabulary import TRAITS, Component, Policy, Settings

if TYPE_CHECKING:
    from sanitree.invariants.rules import Rule
    from sanitree.models.snapshot import Snapshot

F = TypeVar("F", bound=Callable[..., Any])


class Names(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on only
    """A comma-separated list of known names; with `adjust`, +name and -name change what is there."""

    def __init__(self, kind: str, known: Callable[[], Sequence[str]], adjust: bool = False) -> None:
        self.name, self.known, self.adjust = kind, known, adjust

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(part.strip() for part in value.split(",") if part.strip())
        known = self.known()
        for name in names:
            bare = name[1:] if self.adjust and name[0] in "+-" else name
            if bare not in known:
                self.fail(f"no {self.name} is called {bare!r}{_closest(bare, known)}", param, ctx)
        if self.adjust and len({name[0] in "+-" for name in names}) > 1:
            self.fail("either name all traits, or put + or - before each", param, ctx)
        return names


def _closest(name: str, known: Sequence[str]) -> str:
    """The end of a message about a name that is not known: what was probably meant, else all there is."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return (
        f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(known)}" if len(known) < 20 else ""
    )


def known_components() -> list[str]:
    """Their names, those of plug-ins too."""
    from sanitree.invariants.plugins import component_names

    return component_names()


def chosen_components(names: Sequence[str]) -> tuple[Component, ...]:
    """Components by their names, in the order in which they are known: the backbone first."""
    from sanitree.invariants.plugins import component

    found = (component(name) for name in known_components() if name in names)
    return tuple(c for c in found if c is not None)


@contextmanager
def broken_plugins_told() -> Iterator[None]:
    """Inside, a plug-in that cannot be used is a Trouble."""
    from sanitree.invariants.plugins import PluginError

    try:
        yield
    except PluginError as error:
        raise Trouble(str(error), "repair it or uninstall it", Exit.FAILED) from None


def setting_options(f: F) -> F:
    """--policy, --engine-version, --components and --traits, which come as one `Overrides`."""

    @functools.wraps(f)
    def command(
        *args: Any,
        policy: str | None,
        engine_version: str | None,
        components: tuple[str, ...] | None,
        traits: tuple[str, ...] | None,
        **rest: Any,
    ) -> Any:
        version = None if engine_version is None else _known_version(engine_version)
        return f(*args, as_if=Overrides(policy, version, components, traits), **rest)

    made: Any = command
    for option in (
        click.option(
            "--traits", type=Names("trait", lambda: list(TRAITS), adjust=True), metavar="NAMES",
            help="Judge as with these traits, e.g. tiered,host_leaf_unlocked; or change some: --traits=-tiered.",
        ),
        click.option(
            "--components", type=Names("component", known_components), metavar="NAMES",
            help="Judge these components, e.g. full,swa.",
        ),
        click.option(
            "--engine-version", metavar="VERSION", help="Judge by the traits of this version, e.g. 0.5.13."
        ),
        click.option("--policy", type=click.Choice([p.value for p in Policy]), help="Judge as under this policy."),
    ):  # fmt: skip
        made = option(made)
    return cast(F, made)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")


@dataclass(frozen=True, slots=True)
class Overrides:
    """Settings that the command line gives; None where it does not."""

    policy_name: str | None = None
    version: str | None = None
    component_names: tuple[str, ...] | None = None
    trait_names: tuple[str, ...] | None = None

    @property
    def policy(self) -> Policy | None:
        return Policy(self.policy_name) if self.policy_name else None

    @property
    def components(self) -> tuple[Component, ...]:
        """The backbone first, as everywhere; empty where none are given."""
        with broken_plugins_told():
            return chosen_components(self.component_names or ())

    def traits(self, known: frozenset[str] | None) -> frozenset[str] | None:
        """The traits, where `known` are those of the snapshot; None where nothing says them."""
        if self.version is not None:
            # Whether there is a host tier is how a cache was started, not which version it is.
            known = _traits_of(self.version) | ((known or frozenset({"tiered"})) & {"tiered"})
        names = self.trait_names
        if names is None or not names or names[0][0] not in "+-":
            return known if names is None else frozenset(names)
        gained, lost = ({t[1:] for t in names if t[0] == sign} for sign in "+-")
        return None if known is None else (known | gained) - lost

    def trait(self, name: str) -> bool | None:
        """Whether a trait is there, for a cache of which nothing else is known."""
        if (all_of_them := self.traits(None)) is not None:
            return name in all_of_them
        return {f"+{name}": True, f"-{name}": False}.get(next((t for t in self.trait_names or () if t[1:] == name), ""))

    def apply(self, s: Settings, where: str = "") -> Settings:
        """`s`, those of the file `where`, with what the command line says put in its place."""
        if lacking := [c.name for c in self.components if c not in s.components]:
            kept = " and ".join(c.name for c in s.components)
            raise Trouble(f"the snapshot keeps {kept} only, not {' and '.join(lacking)}", where=where)
        return replace(
            s,
            policy=self.policy or s.policy,
            components=self.components or s.components,
            traits=s.traits if (traits := self.traits(s.traits)) is None else traits,
        )


def _known_version(version: str) -> str:
    """A version to judge by: the newest known for a newer one, which is said."""
    from sanitree.models.engines import store
    from sanitree.models.engines.errors import EngineError

    try:
        store.refuse_older(version)
    except EngineError as error:
        raise Trouble(str(error)) from None
    newest = store.KNOWN_VERSIONS[-1]
    if store.version_key(version) <= store.version_key(newest):
        return version
    click.echo(f"{version} is not a version sanitree knows ({store.KNOWN}); judged as {newest}", err=True)
    return newest


def _traits_of(version: str) -> frozenset[str]:
    from sanitree.models.engines.traits import of_version

    return of_version(version)


STDIN = "-"


def refuse_twice(files: Sequence[str]) -> None:
    """Of several files at most one is standard input: who reads it second finds nothing."""
    if files.count(STDIN) > 1:
        raise click.UsageError("`-` is given twice, and standard input can be read once")


def load(path: str) -> Snapshot:
    """The snapshot in a file, or with `-` on standard input; Trouble says what is wrong with it."""
    from sanitree.models.snapshot import SnapshotError, read, receive

    try:
        if path == STDIN:
            if sys.stdin is None:
                raise Trouble("is closed", where=shown(path))
            with broken_plugins_told():
                return receive(sys.stdin.buffer)
        file = Path(path)
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            # A dump of the hook is a folder; a name that is written here spares importing it.
            file /= "snapshot.json.gz"
            if not file.is_file():
                hint = "name the snapshot files in it"
                raise Trouble("is a directory, and no dump with a snapshot in it", hint, where=path)
        if stat.S_ISFIFO(mode):  # a shell's <(…)
            with broken_plugins_told(), file.open("rb") as pipe:
                return receive(pipe)
        with broken_plugins_told():
            return read(file)
    except (FileNotFoundError, NotADirectoryError):
        raise Trouble("there is no such file", where=path) from None
    except SnapshotError as error:
        raise Trouble(str(error).removeprefix(f"{path}: "), where=shown(path), code=Exit(error.exit_code)) from None
    except OSError as error:
        raise Trouble(f"cannot be read: {error.strerror or error}", where=path) from None
    except MemoryError:
        raise Trouble("does not fit into memory", where=path, code=Exit.FAILED) from None


def shown(path: str) -> str:
    """What people are told a snapshot is from."""
    return "standard input" if path == STDIN else path


def catalogue() -> tuple[Rule, ...]:
    """Every rule there is, those of plug-ins included."""
    from sanitree.invariants.plugins import all_rules

    with broken_plugins_told():
        return all_rules()


def choose_rules(ids: Sequence[str] = (), family: str | None = None) -> tuple[Rule, ...]:
    """The rules with these ids, or all, of a family, or of all."""
    from sanitree.invariants.catalogue import BY_ID, RULES

    rules = RULES if ids and BY_ID.keys() >= set(ids) else catalogue()
    known = {r.id: r for r in rules}
    for wanted in ids:
        if wanted not in known:
            near = difflib.get_close_matches(wanted.lower(), list(known), n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}?" if near else "`sanitree rules` lists them"
            raise Trouble(f"no rule is called {wanted!r}", hint=hint)
    chosen = tuple(known[i] for i in dict.fromkeys(ids)) if ids else rules
    chosen = _of_family(chosen, family)
    if not chosen:
        raise Trouble(f"none of these rules is of the family {family!r}")
    return chosen


def choose_state_rules(ids: Sequence[str] = (), family: str | None = None) -> Callable[[Settings], tuple[Rule, ...]]:
    """The same for one state, once its settings are known: rules about a step need two, and the call between them."""
    from sanitree.invariants.plugins import catalogue_for

    chosen = choose_rules(ids, family) if ids else ()
    if steps := [r for r in chosen if r.on]:
        raise Trouble(
            f"{steps[0].id} is about calls of {', '.join(o.value for o in steps[0].on)}: a snapshot is one state",
            hint="step rules are judged while a cache runs; see docs/language.md",
        )

    def of_cache(settings: Settings) -> tuple[Rule, ...]:
        with broken_plugins_told():
            found = chosen or _of_family(catalogue_for(settings), family)
        if not found:
            raise Trouble(f"all rules of the family {family!r} are about calls: a snapshot is one state")
        return found

    return of_cache


def _of_family(rules: tuple[Rule, ...], family: str | None) -> tuple[Rule, ...]:
    """Those of a family, whose name may have dashes; all where it is None."""
    name = (family or "").replace("-", " ")
    return tuple(r for r in rules if r.family.value == name) if family else rules


def family_option(f: F) -> F:
    """--family, under the names that reports use; "leaf-sets" spares the quotes."""
    from sanitree.invariants.rules import Family

    names = [x.value.replace(" ", "-") for x in Family]
    told = f"Only rules of this family: {', '.join(names)}."
    return click.option("--family", type=click.Choice(names), metavar="NAME", help=told)(f)
