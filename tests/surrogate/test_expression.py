import numpy as np
import pytest

from agentopt.errors import UsageError
from agentopt.surrogate.expression import compile_expression


def value(text, **columns):
    arrays = {name: np.array([x], dtype=object if isinstance(x, str) else float) for name, x in columns.items()}
    return float(np.asarray(compile_expression(text, columns)(arrays)).ravel()[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ceil(a * 64 / b) * b", 512),
        ("-a + 2 ** 3", 0),
        ("a // 3 + a % 3", 4),
        ("log2(a) + log(exp(1)) + sqrt(16) + abs(-1)", 9),
        ("min(a, b) + max(a, 9)", 17),
        ("where(a > 7, 1, 0)", 1),
        ('(kind == "x") + 2 * (kind != "x")', 1),
        ("(a <= 8) + (a < 8)", 1),
    ],
)
def test_arithmetic(text, expected):
    assert value(text, a=8, b=128, kind="x") == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a +",
        "a.real",
        "a[0]",
        "__import__('os')",
        "(lambda: 1)()",
        "[a for a in a]",
        "open('x')",
        "a if a else 1",
        "a < 1 < 2",
        "not a",
        "a and a",
        "1j",
        "None",
        "log(a, a)",
        "log(x=a)",
        "f'{a}'",
        "b",
        "a" + "+a" * 300,
        "(" * 500 + "a" + ")" * 500,
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(UsageError):
        compile_expression(text, ["a"])


def test_a_wrong_name_names_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'DEPTH'"):
        compile_expression("DEPHT + 1", ["DEPTH", "WIDTH"])
