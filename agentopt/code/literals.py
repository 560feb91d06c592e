"""The hyperparameters that stand in code as literals: `DEPTH = 8` at the top of a module is read and written back.

A literal is what arXiv 2603.24647 searches over karpathy/autoresearch's train.py: the only assignment, at the level of
the module, of an ALL_CAPS name to an int, a float, a str, a bool, a power such as `2**19`, or a tuple of these. Writing
replaces the value's characters and no others. Rounding values to what a parameter may be, and repairs between them, are
the search space's (`agentopt.space`: `powers_of`, `values`, `AtLeast`).
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from agentopt.code.source import SourceError, parse
from agentopt.trial import Value

LiteralValue: TypeAlias = Value | tuple[Value, ...]

_NAME = re.compile(r"[A-Z][A-Z0-9_]+")
_NEWLINE = re.compile(r"\r\n|\r|\n")
"""What ends a line for Python: not the form feed, nor the separators that `str.splitlines` knows."""
_QUOTE = re.compile(r"""[rRuU]?('''|\"""|'|")""")
_POWER_BITS = 128
"""How large a power may be: what is read is computed here."""


@dataclass(frozen=True, slots=True)
class Literal:
    """One literal of a text, where it stands."""

    value: LiteralValue
    line: int
    """The line of the assignment, from 1."""
    spans: tuple[tuple[int, int], ...]
    """Start and end of the value in the text, in characters; of a tuple, those of each element."""


@dataclass(frozen=True, slots=True)
class Literals:
    """The ALL_CAPS names that a module assigns."""

    found: Mapping[str, Literal]
    """Those that can be written, in the order of the text."""
    refused: Mapping[str, str]
    """Why each of the others cannot."""

    @property
    def values(self) -> dict[str, LiteralValue]:
        """The values of those that were found, by name."""
        return {name: literal.value for name, literal in self.found.items()}


def read_literals(text: str) -> Literals:
    """Returns the literals of a module's text; raises SourceError where it cannot be parsed."""
    tree = parse(text)
    starts = (0, *(match.end() for match in _NEWLINE.finditer(text)))
    bound = _bindings(tree)
    found: dict[str, Literal] = {}
    refused: dict[str, str] = {}
    for statement in tree.body:
        name, value = _assignment(statement)
        if name is None or value is None or not _NAME.fullmatch(name):
            continue
        if len(bound[name]) > 1:
            refused[name] = f"it is bound more than once (lines {', '.join(map(str, sorted(bound[name])))})"
            continue
        try:
            found[name] = _literal(text, starts, statement.lineno, value)
        except SourceError as error:
            refused[name] = f"{error} (line {statement.lineno})"
    for name, lines in bound.items():
        if _NAME.fullmatch(name) and name not in found and name not in refused:
            refused[name] = f"it is no single assignment at the level of the module (line {lines[0]})"
    return Literals(found, refused)


def write_literals(text: str, values: Mapping[str, LiteralValue]) -> str:
    """Returns the text with those values in place of its own; every other character stays.

    Types are kept: an int stays an int, a float is written with a point or an exponent, a str in its own quotes, and a
    power remains one where the new value is a power of the same base. Raises SourceError for a name that is no literal
    of the text, and for a value of another type.
    """
    literals = read_literals(text)
    changes: list[tuple[int, int, str]] = []
    for name, value in values.items():
        if name not in literals.found:
            raise SourceError(f"{name} cannot be set: {literals.refused.get(name, 'the code does not assign it')}")
        literal = literals.found[name]
        old = literal.value if isinstance(literal.value, tuple) else (literal.value,)
        new = value if isinstance(value, tuple) else (value,)
        if isinstance(value, tuple) != isinstance(literal.value, tuple) or len(old) != len(new):
            raise SourceError(f"{name} is {literal.value!r} in line {literal.line} and cannot be set to {value!r}")
        for (start, end), before, after in zip(literal.spans, old, new, strict=True):
            written = _written(name, literal.line, text[start:end], before, after)
            changes.append((start, end, written))
    for start, end, written in sorted(changes, reverse=True):
        text = text[:start] + written + text[end:]
    return text


def _assignment(statement: ast.stmt) -> tuple[str | None, ast.expr | None]:
    """Returns the name and the value of `NAME = value` or `NAME: type = value`."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target, value = statement.target, statement.value
    else:
        return None, None
    return (target.id, value) if isinstance(target, ast.Name) else (None, None)


def _bindings(tree: ast.Module) -> dict[str, list[int]]:
    """Returns the lines at which each name is bound in the module's scope, or declared global in a function's."""
    lines: dict[str, list[int]] = {}
    todo: list[tuple[ast.AST, bool]] = [(tree, True)]
    while todo:
        node, outside = todo.pop()
        names: list[str] = []
        if isinstance(node, ast.Global):
            names = node.names
        elif outside and isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names = [node.id]
        elif outside and isinstance(node, ast.alias):
            names = [node.asname or node.name.partition(".")[0]]
        elif outside and isinstance(getattr(node, "name", None), str):  # def, class, except ... as, case ... as
            names = [node.name]  # type: ignore[attr-defined]
        elif outside and isinstance(node, ast.MatchMapping) and node.rest:
            names = [node.rest]
        for name in names:
            lines.setdefault(name, []).append(node.lineno)  # type: ignore[attr-defined]
        inner = outside and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef))
        todo += [(child, inner) for child in ast.iter_child_nodes(node)]
    return lines


def _literal(text: str, starts: tuple[int, ...], line: int, node: ast.expr) -> Literal:
    elements = node.elts if isinstance(node, ast.Tuple) else [node]
    if not elements:
        raise SourceError("it is an empty tuple")
    values = tuple(_value(element) for element in elements)
    spans = tuple(_span(text, starts, element) for element in elements)
    for (start, end), value in zip(spans, values, strict=True):
        if _NEWLINE.search(text[start:end]):
            raise SourceError("its value runs over several lines")
        if isinstance(value, str) and not _is_one_string(text[start:end]):
            raise SourceError("its value is made of several strings")
    return Literal(values if isinstance(node, ast.Tuple) else values[0], line, spans)


def _span(text: str, starts: tuple[int, ...], node: ast.expr) -> tuple[int, int]:
    """Returns where an expression stands, in characters: the tree counts lines and the bytes of UTF-8."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    ends = (*starts[1:], len(text))

    def at(line: int, column: int) -> int:
        row = text[starts[line - 1] : ends[line - 1]]
        return starts[line - 1] + len(row.encode("utf-8", "surrogatepass")[:column].decode("utf-8", "surrogatepass"))

    return at(node.lineno, node.col_offset), at(node.end_lineno, node.end_col_offset)


def _value(node: ast.expr) -> Value:
    """Returns the value of a literal or of a power of literals; raises SourceError for everything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float, str)):
        value: Value = node.value
        if isinstance(value, float) and not math.isfinite(value):
            raise SourceError("its value is not finite")
        return value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _value(node.operand)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return -value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _power(_value(node.left), _value(node.right))
    raise SourceError("its value is no literal")


def _power(base: Value, exponent: Value) -> Value:
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (base, exponent))
    if not numbers or base <= 0:  # type: ignore[operator]
        raise SourceError("its value is no literal")
    try:
        bits = abs(float(exponent) * math.log2(base))  # type: ignore[arg-type]
    except OverflowError:
        bits = math.inf
    if not bits <= _POWER_BITS:
        raise SourceError("its value is too large a power")
    result: Value = base**exponent  # type: ignore[operator]
    return result


def _is_one_string(source: str) -> bool:
    quote = _QUOTE.match(source)
    if quote is None:
        return False
    mark, rest = quote[1], source[quote.end() :]
    unescaped = re.sub(r"\\.", "__", rest)
    return unescaped.find(mark) == len(rest) - len(mark)


def _written(name: str, line: int, source: str, before: Value, after: Value) -> str:
    """Returns the text of a value in the place and the style of another one."""
    if isinstance(before, float) and isinstance(after, int) and not isinstance(after, bool):
        after = float(after)
    kind = type(before)
    if not isinstance(after, kind) or isinstance(after, bool) != isinstance(before, bool):
        raise SourceError(f"{name} is of type {kind.__name__} in line {line} and cannot be set to {after!r}")
    if after == before and math.copysign(1, _number(after)) == math.copysign(1, _number(before)):
        return source
    if isinstance(after, str):
        quote = _QUOTE.match(source)
        assert quote is not None
        return quote[1] + "".join(_escaped(c, quote[1][0]) for c in after) + quote[1]
    if isinstance(after, float):
        if not math.isfinite(after):
            raise SourceError(f"{name} cannot be set to {after!r}: it is not finite")
        return float.__repr__(after)
    if isinstance(after, bool):
        return repr(after)
    return _as_power(source, after) or int.__repr__(after)


def _number(value: Value) -> float:
    """Returns a float as it is and 1 for all else: only a float's zero has a sign."""
    return value if isinstance(value, float) else 1.0


def _as_power(source: str, value: int) -> str | None:
    """Returns `2**18` where the source is `2**19`, with its spaces, if the value is a power of that base."""
    power = re.fullmatch(r"(\d+)(\s*\*\*\s*)(\d+)", source)
    if power is None or int(power[1]) < 2:
        return None
    base, exponent = int(power[1]), 0
    while base**exponent < value:
        exponent += 1
    return f"{power[1]}{power[2]}{exponent}" if base**exponent == value else None


def _escaped(character: str, quote: str) -> str:
    if character in ("\\", quote):
        return f"\\{character}"
    return character if character.isprintable() else repr(character)[1:-1]
