"""Who may know whom: read from the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import agentopt

PACKAGE = Path(agentopt.__file__).parent
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

VALUES = {"errors", "trial", "paths", "log"}
SEAMS = {"space", "protocols", "outcomes", "functions"}
PARTS = {
    "journal",
    "ledger",
    "task",
    "command",
    "process",
    "prompts",
    "llm",
    "executors",
    "surrogate",
    "shifted",
    "tables",
    "problems",
}
MAY_IMPORT = {
    "errors": set(),
    "trial": {"errors"},
    "paths": {"errors"},
    "log": {"errors"},
    "functions": {"errors"},
    "space": VALUES,
    "protocols": VALUES | {"space"},
    "outcomes": VALUES | {"space", "protocols"},
    **dict.fromkeys(PARTS, VALUES | SEAMS | PARTS | {"streams", "lm", "pareto"}),
    "streams": set(),
    "code": VALUES | SEAMS | {"llm", "code"},
    "sandbox": VALUES | {"streams", "sandbox"},
    "task": VALUES | SEAMS | PARTS | {"streams", "lm"},
    "lm": VALUES | SEAMS | {"llm", "code", "sandbox", "task", "command", "lm"},
    "suites": {"errors"},
    "pareto": set(),
    "partition": {"errors", "trial", "space", "pareto", "partition"},
    "study": {"errors", "journal", "protocols", "trial"},
    "optimizers": VALUES | SEAMS | {"llm", "prompts", "ledger", "code", "partition", "pareto", "optimizers"},
    "report": {
        *("errors", "trial", "log", "space", "protocols"),
        *("journal", "ledger", "code", "sandbox", "pareto", "report"),
    },
    "config": VALUES | SEAMS | {"llm", "task"},
    "runs": VALUES | {"config", "journal"},
}
"""What each room may import; rooms that are not listed stand above these and may import all of them."""


def room(module: str) -> str:
    """Returns `llm` for `agentopt.llm.gateway`."""
    return [*module.split("."), ""][1]


@cache
def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(node: ast.AST, *, at_import: bool = False) -> set[str]:
    """Returns the modules of ours that the code imports: everywhere in it, or only when it is itself imported."""
    found: set[str] = set()
    for child in ast.iter_child_nodes(node):
        if at_import and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if at_import and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            found |= {alias.name for alias in child.names if alias.name.split(".")[0] == "agentopt"}
        elif isinstance(child, ast.ImportFrom) and child.module and child.module.split(".")[0] == "agentopt":
            for alias in child.names:
                inner = f"{child.module}.{alias.name}"
                found.add(inner if inner in modules() else child.module)
        found |= imports(child, at_import=at_import)
    return found


@pytest.mark.parametrize("name", [name for name in modules() if room(name) in MAY_IMPORT])
def test_a_room_imports_only_what_it_may(name):
    own = room(name)
    foreign = {room(other) for other in imports(modules()[name])} - {own}
    assert foreign <= MAY_IMPORT[own], f"{name} must not know {sorted(foreign - MAY_IMPORT[own])}"


def test_every_module_belongs_to_a_known_room():
    above = {
        "",
        "__main__",
        "build",
        "catalog",
        "changes",
        "scaffold",
        "doctor",
        "screens",
        "state",
        "progress",
        "api",
        "cli",
        "cli_tools",
        "cli_export",
        "cli_compare",
        "cli_report",
        "cli_code",
        "final",
        "compare",
        "export",
    }
    unknown = {room(name) for name in modules()} - set(MAY_IMPORT) - above - {"sandbox", "testing"}
    assert not unknown, "say in MAY_IMPORT what these may import"


def test_only_the_composition_root_and_what_stands_above_it_know_build():
    knowing = {room(name) for name, tree in modules().items() if "agentopt.build" in imports(tree)}
    assert knowing <= {"api", "cli", "cli_tools", "compare", "state", "testing"}


def test_there_are_no_cycles():
    graph = {name: imports(tree, at_import=True) & set(modules()) for name, tree in modules().items()}
    state: dict[str, str] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert state.get(name) != "open", f"a cycle: {' -> '.join((*path, name))}"
        if name not in state:
            state[name] = "open"
            for other in graph[name]:
                visit(other, (*path, name))
            state[name] = "done"

    for name in graph:
        visit(name, ())


def test_only_the_command_line_prints():
    for name, tree in modules().items():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        printing = [call.lineno for call in calls if call.func.id == "print"]
        assert not printing or room(name).startswith("cli"), f"{name} prints in line {printing}"


def test_modules_and_functions_stay_readable():
    for name, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= 60, f"{name}.{node.name} has {length} lines"


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
