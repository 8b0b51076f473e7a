"""Plug-ins: components that others add, each in one object under an entry point of the group `sanitree.components`.

    [project.entry-points."sanitree.components"]
    chunked = "chunked:PLUGIN"

Nothing of theirs is imported before a component is named that is not built in, or every
rule is asked for. A plug-in's rules are judged of caches that have its component.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from sanitree.invariants.calls import GHOST_FIELDS, field_named
from sanitree.invariants.catalogue import BY_ID, CATALOGUE, GHOSTS, RULES, STEP_RULES
from sanitree.invariants.rules import Family, Rule
from sanitree.invariants.steps import Ghost
from sanitree.invariants.terms import Get, walk
from sanitree.invariants.vocabulary import COMPONENTS, FIELDS, Component, Field, Index, Lowering, Settings, Sort

GROUP = "sanitree.components"
_BUILT_IN = frozenset(FIELDS.values())


class PluginError(Exception):
    """A plug-in cannot be used; the message says which, from where, and what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A component and what must be true of it. See `models.reference.plugins` for one that runs, too.

    rules: about states and about steps, under names of their own. ghosts: what they need
    to be kept from call to call.
    """

    component: Component
    rules: tuple[Rule, ...] = ()
    ghosts: tuple[Ghost, ...] = ()

    def __post_init__(self) -> None:
        c = self.component
        if not isinstance(c, Component) or c.backbone or not c.name.isidentifier() or c.name in COMPONENTS:
            raise PluginError(f"{c!r} is no component to add: it has a name of its own, and is no backbone")
        for r in self.rules:
            if not isinstance(r, Rule):
                raise PluginError(f"{r!r} is no rule: declare it with @rule or @step")
        for g in self.ghosts:
            if not isinstance(g, Ghost):
                raise PluginError(f"{g!r} is no ghost: declare it with @ghost")
        _check_ids(self.rules, BY_ID)
        kept = [g.field for g in (*GHOSTS, *self.ghosts)]
        if loose := [f for f in self.words() if (f.owner, f.name) in GHOST_FIELDS and f not in kept]:
            raise PluginError(f"its rules speak of the ghost {loose[0].name!r}: name it in ghosts")
        object.__setattr__(self, "rules", tuple(replace(r, of=c) for r in self.rules))

    def words(self) -> list[Field]:
        """The fields that its rules and ghosts speak of and that are not built in."""
        terms = [*(r.term for r in self.rules), *(g.term for g in self.ghosts)]
        found = dict.fromkeys(t.field for term in terms for t in walk(term) if isinstance(t, Get))
        return [f for f in found if f not in _BUILT_IN]


def _check_ids(rules: Iterable[Rule], others: Iterable[str]) -> None:
    taken = set(others)
    for r in rules:
        if r.id in taken:
            raise PluginError(f"there is a rule {r.id!r} already: give this one another name")
        taken.add(r.id)


def new_field(
    owner: Sort,
    name: str,
    sort: Sort,
    unit: str = "",
    *,
    index: Index = Index.COMPONENT,
    lowering: Lowering = Lowering.NONE,
    meaning: str,
) -> Field:
    """Adds a word to the vocabulary, for the rules that follow: `n[CHUNKED].held` of what a plug-in's component
    has, or of each of its copies. Raises PluginError for a word that means something else already."""
    if owner not in (Sort.NODE, Sort.TREE, Sort.TRANSFER, Sort.REQUEST) or sort not in (Sort.BOOL, Sort.INT):
        raise PluginError(f"field {name!r}: a node, tree, transfer or request can have a truth value or a number")
    if index is Index.NONE:
        raise PluginError(f"field {name!r}: what a plug-in tells is by component, or by component and tier")
    if not name.isidentifier() or not meaning:
        raise PluginError(f"field {name!r}: give it a name that Python takes, and a meaning")
    field = Field(owner, name, sort, unit, index, lowering, meaning)
    if (known := field_named(owner, name)) not in (None, field):
        assert known is not None
        raise PluginError(f"a {owner.value} has a field {name!r} already: {known.meaning}")
    return FIELDS.setdefault((owner, name), field)


# Finding them.

_loaded: dict[str, Plugin] = {}


def plugin(name: str) -> Plugin | None:
    """The plug-in of the component of this name; None where there is none."""
    if name not in _loaded and (found := _installed().get(name)):
        _enter(_load(found), ", ".join(map(_told, found)))
    return _loaded.get(name)


def plugins() -> tuple[Plugin, ...]:
    """Every plug-in."""
    return tuple(p for name in sorted({*_loaded, *_installed()}) if (p := plugin(name)) is not None)


def use(p: Plugin) -> None:
    """Takes a plug-in for installed, in this process: for one that is being written."""
    if p.component.name in _loaded and _loaded[p.component.name] is not p:
        raise PluginError(f"there is a plug-in of component {p.component.name!r} already: start anew to use another")
    _enter(p, f"the plug-in of {p.component.name!r}")


@cache
def _installed() -> Mapping[str, tuple[EntryPoint, ...]]:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for e in entry_points(group=GROUP):
        found[e.name] = (*found.get(e.name, ()), e)
    return found


def _load(found: tuple[EntryPoint, ...]) -> Plugin:
    if len(found) > 1:
        raise PluginError(f"component {found[0].name!r} is in {' and in '.join(map(_told, found))}: uninstall one")
    (entry,) = found
    try:
        loaded = entry.load()
    except (Exception, SystemExit) as error:  # whatever it is, it is the plug-in's
        said = " ".join(str(error).split())
        what = said if isinstance(error, PluginError) else f"{type(error).__name__}: {said}"
        raise PluginError(f"{_told(entry)} cannot be used: {what}") from error
    if not isinstance(loaded, Plugin):
        raise PluginError(f"{_told(entry)} is no Plugin, but a {type(loaded).__name__}")
    if loaded.component.name != entry.name:
        raise PluginError(f"{_told(entry)} is of the component {loaded.component.name!r}: name it so")
    return loaded


def _enter(p: Plugin, told: str) -> None:
    try:
        _check_ids(p.rules, (r.id for x in _loaded.values() if x is not p for r in x.rules))
    except PluginError as error:
        raise PluginError(f"{told} cannot be used: {error}") from None
    _loaded[p.component.name] = p


def _told(e: EntryPoint) -> str:
    of = f" of {e.dist.name} {e.dist.version}" if e.dist is not None else ""
    return f"plug-in {e.name!r} ({e.value}{of})"


# What there is with them.


def component(name: str) -> Component | None:
    """The component of a name, built in or a plug-in's."""
    if name in COMPONENTS:
        return COMPONENTS[name]
    found = plugin(name)
    return None if found is None else found.component


def component_names() -> list[str]:
    """The names of all of them; none is loaded for this."""
    return [*COMPONENTS, *sorted({*_loaded, *_installed()} - COMPONENTS.keys())]


def of_settings(settings: Settings) -> tuple[Plugin, ...]:
    """The plug-ins of a cache's components."""
    names = [c.name for c in settings.components if c.name not in COMPONENTS]
    return tuple(p for name in names if (p := plugin(name)) is not None)


def all_rules() -> tuple[Rule, ...]:
    """Every rule, family by family."""
    more = [r for p in plugins() for r in p.rules]
    return tuple(sorted((*RULES, *more), key=lambda r: list(Family).index(r.family)))


def catalogue_for(settings: Settings) -> tuple[Rule, ...]:
    """The rules about a state of a cache with these components."""
    return (*CATALOGUE, *(r for p in of_settings(settings) for r in p.rules if not r.on))


def step_rules_for(settings: Settings) -> tuple[Rule, ...]:
    """The rules about its steps."""
    return (*STEP_RULES, *(r for p in of_settings(settings) for r in p.rules if r.on))


def ghosts_for(settings: Settings) -> tuple[Ghost, ...]:
    """What is kept for them from call to call."""
    return (*GHOSTS, *(g for p in of_settings(settings) for g in p.ghosts))
