"""Arithmetic written as text, evaluated on whole columns of numbers; nothing else can be written in it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

import numpy as np

from agentopt.errors import UsageError, unknown

Column: TypeAlias = np.ndarray[Any, Any]
Columns: TypeAlias = Mapping[str, Column]
Expression: TypeAlias = Callable[[Columns], Any]

_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
    ast.Pow: np.power,
}
_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}
_FUNCTIONS: Mapping[str, tuple[int, Callable[..., Any]]] = {
    "abs": (1, np.abs),
    "ceil": (1, np.ceil),
    "exp": (1, np.exp),
    "floor": (1, np.floor),
    "log": (1, np.log),
    "log2": (1, np.log2),
    "sqrt": (1, np.sqrt),
    "max": (2, np.maximum),
    "min": (2, np.minimum),
    "where": (3, np.where),
}
_MAX_CHARS, _MAX_NODES = 1000, 200


def compile_expression(text: str, names: Collection[str]) -> Expression:
    """Returns a function of columns for an expression such as `ceil(DEPTH * 64 / HEAD_DIM) + (KIND == "a")`.

    Allowed are numbers, texts, the given names, + - * / // % **, one comparison at a time (1 where true, else 0) and
    the functions abs, ceil, exp, floor, log, log2, sqrt, max(a, b), min(a, b), where(condition, a, b).
    """
    if len(text) > _MAX_CHARS:
        raise UsageError(f"The expression {text[:40]!r}... is longer than {_MAX_CHARS} characters.")
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"The expression {text!r} cannot be read: {error}.") from error
    if sum(1 for _ in ast.walk(tree)) > _MAX_NODES:
        raise UsageError(f"The expression {text[:40]!r}... has more than {_MAX_NODES} parts.")
    return _compile(tree.body, text, names)


def _compile(node: ast.expr, text: str, names: Collection[str]) -> Expression:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str)):
        constant = node.value if isinstance(node.value, str) else float(node.value)
        return lambda _: constant
    if isinstance(node, ast.Name):
        name = node.id
        if name not in names:
            raise unknown(f"name in the expression {text!r}:", name, names)
        return lambda columns: columns[name]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        operand = _compile(node.operand, text, names)
        return lambda columns: np.negative(operand(columns))
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return _apply(_BINARY[type(node.op)], [node.left, node.right], text, names)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARE:
        compare = _apply(_COMPARE[type(node.ops[0])], [node.left, node.comparators[0]], text, names)
        return lambda columns: np.asarray(compare(columns), dtype=np.float64)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id not in _FUNCTIONS:
            raise unknown(f"function in the expression {text!r}:", node.func.id, _FUNCTIONS)
        arity, function = _FUNCTIONS[node.func.id]
        if len(node.args) != arity:
            raise UsageError(f"The expression {text!r}: {node.func.id} takes {arity} arguments, not {len(node.args)}.")
        return _apply(function, node.args, text, names)
    part = ast.get_source_segment(text, node) or type(node).__name__
    raise UsageError(f"The expression {text!r}: {part!r} is not arithmetic.")


def _apply(function: Callable[..., Any], nodes: list[ast.expr], text: str, names: Collection[str]) -> Expression:
    parts = [_compile(node, text, names) for node in nodes]
    if len(parts) == 2:
        first, second = parts
        return lambda columns: function(first(columns), second(columns))
    return lambda columns: function(*[part(columns) for part in parts])
