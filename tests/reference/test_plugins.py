"""Plug-ins: found by their entry points, judged like what is built in, and told of when they cannot be used."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

from sanitree.checker.cli import cli
from sanitree.checker.follow import Follower
from sanitree.checker.live import InvariantViolated, LiveChecker
from sanitree.checker.report import Verdict, check
from sanitree.checker.watch import Watch
from sanitree.invariants import plugins
from sanitree.invariants.calls import GHOST_FIELDS
from sanitree.invariants.catalogue import CATALOGUE, RULES
from sanitree.invariants.plugins import Plugin, PluginError, new_field
from sanitree.invariants.vocabulary import COMPONENTS, FIELDS, FULL, Component, Index, Policy, Settings, Sort
from sanitree.models.reference import ByHand, CacheConfig, CacheError, UnifiedRadixCache, observe
from sanitree.models.snapshot import Key, Snapshot, SnapshotError, from_networkx, read, same, to_networkx, write
from tests.reference.judge import assert_sound
from tests.reference.workload import Workload, config

MARKED = Component("marked", backbone=False, per_token=True)
SOURCE = '''
from sanitree.invariants.calls import ANY_CALL
from sanitree.invariants.language import iff, implies
from sanitree.invariants.plugins import Plugin, new_field
from sanitree.invariants.rules import Family, rule, step
from sanitree.invariants.steps import before, ghost
from sanitree.invariants.vocabulary import DEVICE, HOST, Component, Index, Sort
from sanitree.models.reference import Part, ReferencePlugin

MARKED = Component("marked", backbone=False, per_token=True)
WRONG = 0


class MarkedPart(Part):
    def reach(self, length):
        return length % 3


RECOUNT = new_field(Sort.NODE, "recount", Sort.INT, "slots", index=Index.COPY, meaning="slots of the copy, recounted")
NODES = new_field(Sort.TREE, "marked_nodes", Sort.INT, "nodes", meaning="nodes that have a copy on either tier")
GOES_ON = new_field(Sort.REQUEST, "goes_on", Sort.BOOL, meaning="it goes on from a prefix")
MOVES = new_field(Sort.TRANSFER, "moves", Sort.BOOL, meaning="it is one that copies")


def recount(cache, node, tier):
    copies = node.data[cache.place("marked")]
    slots = copies.device if tier is DEVICE else copies.host
    return WRONG + (0 if slots is None else len(slots.tolist()))


def marked_nodes(cache):
    copies = [n.data[cache.place("marked")] for n in cache.subtree(cache.root)]
    return sum(c.device is not None or c.host is not None for c in copies)


@rule(Family.SHAPE, Sort.NODE, tiers=(DEVICE, HOST))
def recount_agrees(n, tier):
    """A recount of a copy's slots agrees."""
    return n[MARKED, tier].recount == n[MARKED, tier].tokens


@rule(Family.SIZES, Sort.TREE)
def few_are_marked(t):
    """No tree has a thousand nodes."""
    return t[MARKED].marked_nodes < 1000


@rule(Family.LOCKS, Sort.REQUEST)
def who_goes_on_has_a_prefix(r):
    """A request goes on from a prefix, or has none."""
    return iff(r[MARKED].goes_on, r.prefix_len > 0)


@rule(Family.TRANSFERS, Sort.TRANSFER)
def transfers_move(x):
    """What is in flight moves."""
    return x[MARKED].moves


@ghost(Sort.NODE, "calls")
def age(n):
    """calls since it came"""
    return before(n).age + 1


@step(Family.PURITY, Sort.NODE, on=ANY_CALL)
def nobody_is_as_old(n):
    """No node lives for a million calls."""
    return implies(n.exists, n.age < 1_000_000)


RULES = (recount_agrees, few_are_marked, who_goes_on_has_a_prefix, transfers_move, nobody_is_as_old)
READS = {
    RECOUNT: recount,
    NODES: marked_nodes,
    GOES_ON: lambda cache, request: request.prefix_len > 0,
    MOVES: lambda cache, flight: flight.is_write or flight.is_load,
}
PLUGIN = ReferencePlugin(component=MARKED, part=MarkedPart, rules=RULES, ghosts=(age,), reads=READS)
BARE = Plugin(component=MARKED, rules=RULES, ghosts=(age,))
'''

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution with one module and one entry point, as pip leaves them."""
    tables = [(t, dict(t)) for t in (FIELDS, GHOST_FIELDS)]
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.syspath_prepend(tmp_path)

    def make(source: str = SOURCE, entry: str = "marked = marks:PLUGIN", name: str = "sanitree-marks") -> None:
        module = entry.split("=")[1].split(":")[0].strip()
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{name.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[{plugins.GROUP}]\n{entry}\n")
        forget()

    def forget() -> None:
        importlib.invalidate_caches()
        plugins._installed.cache_clear()
        observe.reading.cache_clear()

    forget()
    yield make
    for module in ("marks", "notes", "others"):
        sys.modules.pop(module, None)
    for table, was in tables:
        table.clear()
        table.update(was)
    monkeypatch.undo()
    forget()


def marks() -> ModuleType:
    return importlib.import_module("marks")


def cache_of(*components: Component, policy: Policy = Policy.WRITE_THROUGH, page: int = 1) -> UnifiedRadixCache:
    return UnifiedRadixCache(config(policy, components, page), ByHand())


def worked(cache: UnifiedRadixCache, steps: int = 12) -> UnifiedRadixCache:
    for _ in Workload(cache, seed=4).steps(steps):
        pass
    return cache


def state(cache: UnifiedRadixCache) -> Snapshot:
    return observe.subject(cache).snapshot(None)


def run(*args: str) -> Result:
    return CliRunner().invoke(cli, list(args), env={"COLUMNS": "200"})


# Found by name, and judged like what is built in.


def test_a_component_is_found_by_its_name(install: Install) -> None:
    install()
    assert plugins.component_names() == [*COMPONENTS, "marked"]
    assert "marks" not in sys.modules
    assert plugins.component("marked") == MARKED and "marks" in sys.modules
    assert plugins.component("swa") is COMPONENTS["swa"] and plugins.component("nobody") is None


@pytest.mark.parametrize("policy", Policy)
def test_its_rules_are_judged_with_the_others(install: Install, policy: Policy) -> None:
    install()
    cache = worked(cache_of(FULL, MARKED, policy=policy))
    report = check(state(cache))
    assert not report.violations
    of = {f.check.rule.id: f for f in report.findings}
    assert {r.id for r in marks().RULES} - of.keys() == {"nobody_is_as_old"}
    assert of["recount_agrees"].checked and of["few_are_marked"].checked and not of["recount_agrees"].unchecked
    live = LiveChecker()
    assert live.nothing_violated(observe.subject(cache))
    compiled = live.compiled(observe.subject(cache))
    assert compiled.fused is not None and {c.rule.id for c in compiled.fused.checks} >= of.keys() & set(IN_PLACE)
    marks().WRONG = 1
    assert not live.nothing_violated_in_place(observe.subject(cache))
    assert {v.rule.id for v in live.report(observe.subject(cache)).violations} == {"recount_agrees"}


IN_PLACE = ("recount_agrees", "few_are_marked", "who_goes_on_has_a_prefix", "transfers_move")


def test_it_is_followed_from_call_to_call(install: Install) -> None:
    install()
    cache = cache_of(FULL, MARKED)
    watch = Watch(cache)
    worked(cache, 6)
    assert "nobody_is_as_old" in {r.id for r in watch._follower.rules}
    marks().WRONG = 1
    with pytest.raises(InvariantViolated, match="recount_agrees"):
        worked(cache, 4)
    kept = Follower(state(cache))._kept
    assert marks().age in [k.ghost for k in kept]


def test_requests_and_transfers_have_its_words_too(install: Install) -> None:
    install()
    s = state(worked(cache_of(FULL, MARKED), 30))
    assert s.requests is not None and s.transfers is not None and len(s.requests) and len(s.transfers)
    assert Key("goes_on", "marked") in s.requests.columns
    assert s.transfers.columns[Key("moves", "marked")].values.all()
    assert int(s.tree.columns[Key("marked_nodes", "marked")].values[0]) > 0
    assert not any(key.name in ("recount", "marked_nodes") and key.component == "full" for key in s.nodes.columns)


def test_its_rules_are_of_caches_that_have_it(install: Install) -> None:
    install()
    assert plugins.plugin("marked") is not None
    cache = worked(cache_of(FULL))
    assert check(state(cache)).verdict is not Verdict.INCONCLUSIVE
    assert plugins.catalogue_for(observe.settings_of(cache)) == CATALOGUE
    assert not any(f.check.rule.of for f in check(state(cache), [r for r in plugins.all_rules() if not r.on]).findings)


@pytest.mark.parametrize("page", [1, 2])
def test_any_set_of_components_can_be_worked_with(install: Install, page: int) -> None:
    """Bytes included: a part per token and one per node, beside those that are built in."""
    install()
    once = Component("once", backbone=False, per_token=False)
    plugins.use(marks().ReferencePlugin(component=once, part=marks().Part))
    cache = cache_of(FULL, COMPONENTS["mamba"], MARKED, once, COMPONENTS["swa"], page=page)
    work = Workload(cache, seed=page)
    for _ in work.steps(25):
        assert_sound(cache)
    work.quiesce()
    assert_sound(cache)


# Not before it is asked for.


def test_nothing_is_imported_that_nobody_asked_for(install: Install, tmp_path: Path) -> None:
    install("raise RuntimeError('too early')")
    cache = worked(cache_of(FULL, COMPONENTS["swa"]))
    assert LiveChecker().nothing_violated(observe.subject(cache))
    file = tmp_path / "tree.json"
    write(state(cache), file)
    for *command, exit_code in (
        ("check", "--partial", str(file), 0),
        ("check", "--partial", "--components", "swa,full", str(file), 0),
        ("check", "--rule", "freed_once", str(file), 0),
        ("show", str(file), 0),
        ("rules", "freed_once", 0),
        ("rules", "--help", 0),
        ("rules", 4),
    ):
        result = run(*map(str, command))
        assert result.exit_code == exit_code, result.output
        assert ("too early" in result.output) is bool(exit_code)


# In files and graphs.


def test_snapshots_round_trip(install: Install, tmp_path: Path) -> None:
    install()
    s = state(worked(cache_of(FULL, MARKED)))
    assert same(from_networkx(to_networkx(s)), s)
    write(s, tmp_path / "tree.json", tokens="raw")
    again = read(tmp_path / "tree.json")
    assert same(again, s) and not again.notes
    for command in (["check", "--partial"], ["show"], ["diff", str(tmp_path / "tree.json")]):
        assert run(*command, str(tmp_path / "tree.json")).exit_code == 0
    told = json.loads(run("check", "--json", "--rule", "recount_agrees", str(tmp_path / "tree.json")).stdout)
    assert told["exit"] == 0


def test_a_file_is_read_where_the_plugin_is_not_installed(install: Install, tmp_path: Path) -> None:
    file = tmp_path / "tree.json"
    install()
    s = state(worked(cache_of(FULL, MARKED)))
    write(s, file, tokens="raw")
    for name in tuple(FIELDS):
        if name[1] in ("recount", "marked_nodes", "goes_on", "moves"):
            del FIELDS[name]
    (tmp_path / "sanitree_marks-1.2.dist-info" / "entry_points.txt").write_text("")
    plugins._loaded.clear()
    plugins._installed.cache_clear()
    importlib.invalidate_caches()
    again = read(file)
    left_out = '.nodes.columns["marked.device.recount"] was left out: no plug-in of component marked is installed'
    assert left_out in again.notes and len(again.notes) == 5
    assert {k.name for k in s.nodes.columns} - {k.name for k in again.nodes.columns} == {"recount"}
    assert not check(again).violations
    document = json.loads(file.read_text())
    for bad in ("full.device.recount", "recount", "marked.device.lokc"):
        document["nodes"]["columns"] = {**json.loads(file.read_text())["nodes"]["columns"], bad: [0] * len(s.nodes)}
        file.with_name("bad.json").write_text(json.dumps(document))
        if bad == "marked.device.lokc":
            assert any("lokc" in note for note in read(file.with_name("bad.json")).notes)
        else:
            with pytest.raises(SnapshotError, match="is no name for nodes"):
                read(file.with_name("bad.json"))


def test_a_file_must_mean_the_same_component(install: Install, tmp_path: Path) -> None:
    install()
    write(state(worked(cache_of(FULL, MARKED))), tmp_path / "tree.json")
    document = json.loads((tmp_path / "tree.json").read_text())
    document["settings"]["components"][1]["per_token"] = False
    (tmp_path / "tree.json").write_text(json.dumps(document))
    with pytest.raises(SnapshotError, match="marked is a known component, declared otherwise"):
        read(tmp_path / "tree.json")


# On the command line.


def test_its_rules_are_listed_in_their_families(install: Install) -> None:
    install()
    every = [r["id"] for r in json.loads(run("rules", "--json").stdout)["rules"]]
    assert set(every) - {r.id for r in RULES} == {r.id for r in marks().RULES}
    assert [i for i in every if i in {r.id for r in RULES}] == [r.id for r in RULES]
    assert every.index("recount_agrees") < every.index("aux_device_needs_full_device")
    assert "with marked" in run("rules").stdout
    told = json.loads(run("rules", "--json", "recount_agrees").stdout)
    assert told["of"] == "marked" and told["fields"][0]["meaning"] == "slots of the copy, recounted"
    listed = {c: run("rules", "--json", "--components", c).stdout for c in ("full,swa", "full,marked")}
    assert "few_are_marked" in listed["full,marked"] and "few_are_marked" not in listed["full,swa"]
    unknown = run("rules", "--components", "full,market")
    assert unknown.exit_code == 2 and "did you mean marked?" in unknown.stderr


def changed(old: str, new: str) -> str:
    assert old in SOURCE
    return SOURCE.replace(old, new)


ENTRY = "marked = marks:PLUGIN"
BROKEN = {
    "no such module": ("", "ModuleNotFoundError: No module named 'missing'"),
    "no such name": ("", "AttributeError: module 'marks' has no attribute 'PLUGIN'"),
    "it raises": ("1 / 0", "ZeroDivisionError: division by zero"),
    "it leaves": ("raise SystemExit('bye')", "SystemExit: bye"),
    "no syntax": ("def", "SyntaxError: invalid syntax"),
    "no plug-in": ("PLUGIN = 3", "is no Plugin, but a int"),
    "another name": (SOURCE, "is of the component 'marked': name it so"),
    "no part": (changed("part=MarkedPart", "part=3"), "part is 3: make it a subclass of Part"),
    "no field": (changed("RECOUNT: recount", "3: recount"), "reads names 3, which is no field"),
    "no rule": (changed("rules=RULES", "rules=(recount,)"), "is no rule: declare it with @rule"),
    "no ghost": (changed("ghosts=(age,)", "ghosts=(3,)"), "3 is no ghost: declare it with @ghost"),
    "a word that nobody reads": (
        changed("    NODES: marked_nodes,\n", ""),
        "'marked_nodes', which nothing reads: name it",
    ),
    "a ghost that nobody keeps": (changed("ghosts=(age,)", "ghosts=()"), "speak of the ghost 'age': name it in ghosts"),
    "a rule's name taken": (changed("recount_agrees", "freed_once"), "there is a rule 'freed_once' already"),
    "a word taken": (changed('"recount", Sort.INT', '"hits", Sort.INT'), "a node has a field 'hits' already"),
    "what no rule can say": (changed(".recount ==", ".recounted =="), "has no field 'recounted'"),
    "a backbone": (changed("backbone=False", "backbone=True"), "and is no backbone"),
    "a built-in's name": (changed('Component("marked"', 'Component("swa"'), "a name of its own"),
}
ENTRIES = {"no such module": "marked = missing.module:PLUGIN", "another name": "market = marks:PLUGIN"}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_named(install: Install, case: str) -> None:
    (source, what), entry = BROKEN[case], ENTRIES.get(case, ENTRY)
    install(source, entry)
    result = run("rules")
    assert result.exit_code == 4 and not result.stdout
    line = result.stderr.splitlines()[0]
    name, where = entry.split(" = ")
    assert line.startswith(f"sanitree: plug-in {name!r} ({where} of sanitree-marks 1.2)") and what in line
    assert "Traceback" not in result.stderr and "bug in sanitree" not in result.stderr
    with pytest.raises(PluginError, match=name):
        plugins.component(name)


def test_a_file_of_a_broken_component_says_which(install: Install, tmp_path: Path) -> None:
    cache = worked(cache_of(FULL))
    settings = observe.settings_of(cache)
    write(
        state(cache).with_settings(Settings(settings.policy, (FULL, MARKED), settings.traits, 1)), tmp_path / "t.json"
    )
    install("1 / 0")
    result = run("check", str(tmp_path / "t.json"))
    assert result.exit_code == 4 and "plug-in 'marked' (marks:PLUGIN of sanitree-marks 1.2)" in result.stderr
    assert run("rules", "--components", "full,marked").exit_code == 4
    with pytest.raises(PluginError, match="division by zero"):
        cache_of(FULL, MARKED)


def test_two_of_one_name(install: Install) -> None:
    install()
    install(entry="marked = others:PLUGIN", name="sanitree-others")
    both = r"component 'marked' is in plug-in 'marked' \(.* of sanitree-(\w+) 1.2\) and in plug-in .* of sanitree-"
    with pytest.raises(PluginError, match=both + r"(?!\1)\w+ 1.2\): uninstall one"):
        plugins.component("marked")
    assert run("rules").exit_code == 4


def test_rules_of_two_plugins_have_names_of_their_own(install: Install) -> None:
    install()
    other = SOURCE.replace('Component("marked"', 'Component("noted"').replace('"recount"', '"recount2"')
    install(other.replace(".recount ", ".recount2 "), "noted = notes:PLUGIN", "sanitree-notes")
    assert plugins.component("marked") is not None
    with pytest.raises(
        PluginError, match=r"plug-in 'noted' \(notes:PLUGIN of sanitree-notes 1.2\) cannot be used: there is a rule"
    ):
        plugins.plugins()


# In one process.


def test_one_that_is_being_written(install: Install) -> None:
    install()
    own = Component("own", backbone=False, per_token=True)
    with pytest.raises(CacheError, match="component 'own' has no part"):
        cache_of(FULL, own)
    plugins.use(Plugin(component=own))
    assert plugins.component("own") == own
    with pytest.raises(CacheError, match="the plug-in of component 'own' brings no part"):
        cache_of(FULL, own)
    with pytest.raises(PluginError, match="there is a plug-in of component 'own' already"):
        plugins.use(Plugin(component=own))
    with pytest.raises(CacheError, match="declared otherwise by its plug-in"):
        UnifiedRadixCache(
            CacheConfig(components=(FULL, Component("marked", False, False)), device_slots={"full": 8, "marked": 8})
        )
    plugins.use(marks().PLUGIN)


def test_rules_alone(install: Install) -> None:
    """Without a part no cache can be made, but the snapshots of others are judged."""
    install()
    s = state(worked(cache_of(FULL, MARKED)))
    rules = marks().BARE.rules
    assert [r.of for r in rules] == [MARKED] * len(rules)
    assert not check(s, [r for r in rules if not r.on]).violations


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"owner": Sort.SLOT}, "a node, tree, transfer or request can have"),
        ({"sort": Sort.NODE}, "can have a truth value or a number"),
        ({"index": Index.NONE}, "by component, or by component and tier"),
        ({"name": "two words"}, "a name that Python takes"),
        ({"meaning": ""}, "and a meaning"),
        ({"name": "lock"}, "a node has a field 'lock' already: lock count"),
        ({"name": "exists"}, "a node has a field 'exists' already"),
    ],
)
def test_words_that_cannot_be(said: dict[str, object], what: str) -> None:
    whole = {"owner": Sort.NODE, "name": "word", "sort": Sort.INT, "meaning": "what it means", **said}
    with pytest.raises(PluginError, match=what):
        new_field(**whole)  # type: ignore[arg-type]
    assert (Sort.NODE, "word") not in FIELDS


def test_the_layers_know_only_what_is_below_them() -> None:
    code = "import sys, sanitree.invariants.plugins; print(any(m.startswith('sanitree.models') for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
