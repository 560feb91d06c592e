"""Who may know whom, and how long what is written may be: read from the sources."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sources import arrows, imports, long_functions, long_modules, read_sources, rings, room

import agentopt

HEAVY = (
    "git",
    "tokenizers",
    "safetensors",
    "torch",
    "vllm",
    "optuna",
    "ray",
    "matplotlib",
    "langchain_core",
    "sklearn",
    "smac",
    "nevergrad",
    "pymoo",
    "cmaes",
)

MOST_LINES = 300
"""Of a module."""
MOST_FUNCTION_LINES = 60
TOO_LONG = {
    "agentopt.build": 365,
    "agentopt.lm.task": 338,
    "agentopt.optimizers.autoresearch": 331,
    "agentopt.task": 316,
}
"""Modules that were longer when this was first measured, and how long they were then: they may only shrink."""

MAY_IMPORT = {
    room: set(known.split())
    for room, known in {
        "code": "llm space trial",
        "command": "errors mistakes objectives process protocols space task trial",
        "config": "errors llm mistakes protocols task trial",
        "errors": "",
        "executors": "outcomes paths protocols streams task trial",
        "functions": "errors",
        "journal": "errors log sessions trial",
        "ledger": "log",
        "llm": "errors ledger paths prompts space task trial",
        "lm": "code command errors llm outcomes paths protocols sandbox space task trial",
        "log": "errors",
        "mistakes": "",
        "objectives": "errors protocols",
        "optimizers": "code errors llm pareto partition prompts protocols space trial",
        "outcomes": "protocols trial",
        "pareto": "",
        "partition": "pareto space trial",
        "paths": "",
        "problems": "errors outcomes paths protocols space tables task trial",
        "process": "outcomes protocols task trial",
        "prompts": "errors paths",
        "protocols": "space trial",
        "report": "code errors journal ledger log pareto protocols sandbox sessions space trial",
        "runs": "config errors journal",
        "sandbox": "errors streams",
        "sessions": "trial",
        "shifted": "errors space task",
        "space": "errors trial",
        "streams": "",
        "study": "errors journal protocols trial",
        "suites": "errors",
        "surrogate": "errors journal protocols space task trial",
        "tables": "errors pareto protocols space task trial",
        "task": "command errors functions lm mistakes objectives outcomes paths protocols space trial",
        "trial": "",
    }.items()
}
"""What each room imports, types and functions included; a new arrow is a decision, taken here."""
ABOVE = {
    "__main__",
    "api",
    "build",
    "catalog",
    "changes",
    "cli",
    "cli_code",
    "cli_compare",
    "cli_export",
    "cli_report",
    "cli_tools",
    "compare",
    "doctor",
    "export",
    "final",
    "opened",
    "progress",
    "provenance",
    "resolve",
    "scaffold",
    "screens",
    "state",
    "testing",
    "watchers",
    "",
}
"""The rooms that stand above those and may import all of them."""

CLOSING = {
    *(("agentopt.cli", f"agentopt.cli_{name}") for name in ("code", "compare", "export", "report", "tools")),
    ("agentopt.task", "agentopt.command"),
    ("agentopt.task", "agentopt.lm.task"),
}
"""Imports inside functions that lead back to their own module: known, and to become fewer."""


@pytest.fixture(scope="module")
def sources():
    return read_sources(Path(agentopt.__file__).parent)


@pytest.fixture(scope="module")
def known(sources):
    return arrows(sources)


@pytest.fixture(scope="module")
def at_run(sources):
    """Which modules each module imports when it is imported or when something in it is called."""
    return {name: imports(sources, name, for_types=False) for name in sources}


@pytest.mark.parametrize("own", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(sources, known, own):
    new = known[own] - MAY_IMPORT[own]
    who = [name for name in sources if room(name) == own and new & set(map(room, imports(sources, name)))]
    assert not new, f"{', '.join(who)} must not know {sorted(new)}"


@pytest.mark.parametrize("own", MAY_IMPORT)
def test_what_a_room_may_import_it_does_import(known, own):
    assert not MAY_IMPORT[own] - known[own], "take it out of MAY_IMPORT"


def test_every_module_belongs_to_a_known_room(known):
    assert set(known) == set(MAY_IMPORT) | ABOVE, "say in MAY_IMPORT what a new room may import"


def test_only_the_composition_root_and_what_stands_above_it_know_build(known):
    assert {own for own, others in known.items() if "build" in others} == {"api", "cli", "compare", "state"}


def test_no_module_needs_itself_to_be_imported(sources):
    graph = {name: imports(sources, name, in_functions=False, for_types=False) for name in sources}
    assert rings(graph) == []


def without(graph, taken):
    """Returns the graph without some of its arrows."""
    return {name: others - {to for by, to in taken if by == name} for name, others in graph.items()}


def test_imports_inside_functions_close_no_ring_that_is_not_known(at_run):
    assert rings(without(at_run, CLOSING)) == []


@pytest.mark.parametrize("arrow", sorted(CLOSING), ids=" to ".join)
def test_a_known_ring_is_still_there(at_run, arrow):
    assert arrow[1] in at_run[arrow[0]], "it is gone: take it out of CLOSING"
    assert rings(without(at_run, CLOSING - {arrow})), "it closes no ring any more: take it out of CLOSING"


def test_only_the_command_line_prints(sources):
    for name, source in sources.items():
        calls = [node for node in ast.walk(source.tree) if isinstance(node, ast.Call)]
        printing = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
        assert not printing or room(name).startswith("cli"), f"{name} prints in line {printing}"


def test_modules_stay_readable(sources):
    found = long_modules(sources, MOST_LINES)
    assert not {name: lines for name, lines in found.items() if lines > TOO_LONG.get(name, MOST_LINES)}
    assert not set(TOO_LONG) - set(found), "they are short by now: take them out of TOO_LONG"


def test_functions_stay_readable(sources):
    assert not long_functions(sources, MOST_FUNCTION_LINES)


@pytest.fixture
def planted(tmp_path):
    """Returns what writes a package of these modules and reads it."""

    def plant(**texts):
        for name, text in {"__init__": "", **texts}.items():
            path = tmp_path / "toy" / f"{name.replace('__', '/') if name != '__init__' else name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return read_sources(tmp_path / "toy")

    return plant


RING = [["toy.a", "toy.b", "toy.c"]]


@pytest.mark.parametrize(
    ("last", "ring", "ring_at_run"),
    [
        ("from toy.a import thing", RING, RING),
        ("from . import a", RING, RING),
        ("import toy.a", RING, RING),
        ("if something:\n    from .a import thing", RING, RING),
        ("class Thing:\n    from .a import thing", RING, RING),
        ("def thing():\n    from toy.a import thing", [], RING),
        ("def thing():\n    if something:\n        from . import a", [], RING),
        ("if TYPE_CHECKING:\n    from toy.a import Thing", [], []),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    from toy.a import Thing", RING, RING),
        ("import a", [], []),
    ],
)
def test_a_planted_ring_is_found(planted, last, ring, ring_at_run):
    sources = planted(a="from toy.b import thing", b="from toy import c", c=last, d="import toy.a")
    assert rings({name: imports(sources, name, in_functions=False, for_types=False) for name in sources}) == ring
    assert rings({name: imports(sources, name, for_types=False) for name in sources}) == ring_at_run


def test_a_planted_arrow_is_found_wherever_it_is(planted):
    sources = planted(low="", other="", high__one="def f():\n    from ..low import x", high__two="import toy.high.one")
    assert arrows(sources) == {"": set(), "low": set(), "other": set(), "high": {"low"}}
    sources = planted(low="if TYPE_CHECKING:\n    from .other import Type")
    assert arrows(sources)["low"] == {"other"}


def test_what_is_long_is_found(planted):
    sources = planted(a="\n" * 8, b="\n" * 9, c="class A:\n    def f(self):\n        x = 1\n\n        return x\n")
    assert long_modules(sources, 8) == {"toy.b": 9}
    assert long_functions(sources, 3) == {"toy.c.f": 4}
    assert long_functions(sources, 4) == {}


@pytest.mark.parametrize(
    "statement", ["import agentopt", "import agentopt.cli", "from agentopt import Float, load_task"]
)
def test_importing_loads_nothing_heavy(statement):
    code = f"{statement}; import sys; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_help_loads_neither_numpy_nor_pydantic():
    code = "import sys; from agentopt.cli import main; main(['--help']); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_the_map_in_the_readme_names_every_module_and_no_other():
    package = Path(agentopt.__file__).parent
    readme = (package.parent / "README.md").read_text(encoding="utf-8")
    drawn = readme.split("\nagentopt/\n")[1].split("\nprompts/")[0]
    there = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    there -= {"__init__"}
    named = set(re.findall(r"(\w+)(?:\.py|/)", drawn)) | set(re.findall(r"\bcli_\w+", drawn))
    assert there <= named, f"not on the map: {sorted(there - named)}"
    inner = {path.name for path in package.glob("*/*") if path.is_dir()}
    assert named <= there | inner, f"on the map alone: {sorted(named - there - inner)}"
