"""What the sources of a package import and how long they are: read, never run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True)
class Source:
    """A module as it is written."""

    package: str
    """What its relative imports start from."""
    tree: ast.Module
    lines: int


def read_sources(folder: Path) -> dict[str, Source]:
    """Returns the modules of a package by their dotted names."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if path.name == "__init__.py" else parts)
        text = path.read_text(encoding="utf-8")
        found[name] = Source(".".join(parts[:-1]), ast.parse(text), len(text.splitlines()))
    return found


def room(module: str) -> str:
    """Returns `llm` for `agentopt.llm.gateway`."""
    return [*module.split("."), ""][1]


def imports(sources: Mapping[str, Source], name: str, *, in_functions: bool = True, for_types: bool = True) -> set[str]:
    """Returns the modules of the package that a module imports, without those parts of it that are not asked for."""
    return set(_imported(sources, sources[name].package, sources[name].tree, in_functions, for_types))


def _imported(
    sources: Mapping[str, Source], package: str, node: ast.AST, in_functions: bool, for_types: bool
) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not in_functions:
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING") and not for_types:
            child = ast.Module(child.orelse, [])  # noqa: PLW2901
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names if alias.name in sources)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                above = package.split(".")[: 1 - child.level or None]
                base = ".".join([*above, *([child.module] if child.module else [])])
            for alias in child.names:
                inner = f"{base}.{alias.name}"
                yield from [found for found in ([inner] if inner in sources else [base]) if found in sources]
        yield from _imported(sources, package, child, in_functions, for_types)


def rings(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Returns the groups of modules each of which leads to every other one of its group."""
    names = sorted(graph)
    matrix = np.array([[other in graph[name] for other in names] for name in names])
    _, labels = connected_components(matrix, directed=True, connection="strong")
    groups = [[names[i] for i in np.flatnonzero(labels == label)] for label in dict.fromkeys(labels)]
    return [group for group in groups if len(group) > 1 or group[0] in graph[group[0]]]


def arrows(sources: Mapping[str, Source]) -> dict[str, set[str]]:
    """Returns the rooms that each room imports."""
    found: dict[str, set[str]] = {}
    for name in sources:
        found.setdefault(room(name), set()).update(room(other) for other in imports(sources, name))
    return {own: others - {own} for own, others in found.items()}


def long_modules(sources: Mapping[str, Source], most: int) -> dict[str, int]:
    """Returns the lines of the modules that have more than `most`."""
    return {name: source.lines for name, source in sources.items() if source.lines > most}


def long_functions(sources: Mapping[str, Source], most: int) -> dict[str, int]:
    """Returns the lines of the functions that have more than `most`."""
    found = {}
    for name, source in sources.items():
        for node in ast.walk(source.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > most:
                    found[f"{name}.{node.name}"] = lines
    return found
