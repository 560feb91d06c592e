"""What Python says of a text that somebody else wrote: its tree, or why it has none."""

from __future__ import annotations

import ast
import threading
import warnings

_ONE_AT_A_TIME = threading.Lock()
"""Python 3.11 counts the depth of all trees that are being built in one place, and warnings are filtered in another."""


class SourceError(ValueError):
    """A text of code cannot be read, or not be changed as asked; the message says where and why."""


def parse(text: str) -> ast.Module:
    """Returns the tree of a module; raises SourceError where the text is no Python or is nested too deeply."""
    try:
        with _ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the compiler thinks of invalid escapes
            return ast.parse(text)
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        quoted = f" (`{error.text.strip()[:80]}`)" if error.text and error.text.strip() else ""
        raise SourceError(f"{where}{error.msg}{quoted}") from None
    except (RecursionError, MemoryError):
        raise SourceError("the code is nested too deeply") from None
    except ValueError as error:
        raise SourceError(str(error)) from None
