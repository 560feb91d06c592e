"""How the pickle of a package is read without running any code that it names."""

from __future__ import annotations

import pickle
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentopt.errors import UsageError


class _Float64:
    """Stands for numpy's type of a number with 8 bytes, in the order of its first byte last; it is no other type."""

    def __init__(self, code: str, *_: object) -> None:
        if code != "f8":
            raise pickle.UnpicklingError(f"it holds numbers of the type {code!r:.40}")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] != "<":
            raise pickle.UnpicklingError(f"it holds numbers in the byte order {state[1]!r:.40}")


def _number(kind: _Float64, data: bytes) -> float:
    if not isinstance(kind, _Float64):
        raise pickle.UnpicklingError(f"it holds a number of no type: {kind!r:.40}")
    return float(struct.unpack("<d", data)[0])


_NUMBERS = {
    ("numpy", "dtype"): _Float64,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy._core.multiarray", "scalar"): _number,
}
"""What a pickle may name, and what is called instead: numbers of numpy are read without it."""


class _PlainUnpickler(pickle.Unpickler):
    """Reads numbers, texts, lists and dictionaries; a pickle that names anything else is refused."""

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) not in _NUMBERS:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _NUMBERS[module, name]


def read_pickle(path: Path, distribution: str) -> dict[Any, Any]:
    """Returns the dictionary in a pickle of a package; raises UsageError where it cannot be read as plain data."""
    try:
        with path.open("rb") as file:
            entries = _PlainUnpickler(file).load()
    except Exception as error:  # what is no pickle, or is cut off, raises almost anything
        raise UsageError(_unreadable(path, distribution, str(error))) from error
    if not isinstance(entries, dict):
        raise UsageError(_unreadable(path, distribution, f"it holds a {type(entries).__name__}"))
    return entries


def _unreadable(path: Path, distribution: str, why: str) -> str:
    return f"The table {path.name} of {distribution} cannot be read ({why}): pip install 'agentopt[bench]'"


def package_folder(module: str) -> Path:
    """Returns the folder of a package that is installed, without importing it."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
