"""How a language model edits the file of a code task: search/replace blocks or a whole file, read exactly or refused.

A reply is a line that says what is tried, then blocks (`agentopt.code.blocks`) or the whole file in one code fence.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from agentopt.code.blocks import apply_blocks, read_blocks
from agentopt.code.source import SourceError, parse
from agentopt.llm.values import Read, ReplyError
from agentopt.trial import Edit

MAX_REPLY_CHARS = 1 << 18
MAX_FILE_CHARS = 1 << 17
CONTRACT = ("build", "main")
"""The functions of the file that others call."""
_SUMMARY_CHARS = 200
_FENCE = re.compile(r"(`{3,}|~{3,})[^`]*")
_FILE_NAME = re.compile(r"[\w./-]+\.py:?")
_LEFT_OUT = re.compile(r"\s*#\s*(\.\.\.|…)")
"""A comment in place of code, such as `# ... as before`."""


def read_edit(reply: str, current: str, contract: Sequence[str] = CONTRACT) -> Read[Edit]:
    """Returns the version of the file that a reply makes of the current one.

    Blocks whose lines are found but for blanks or indentation are issues of the result, and so is a missing
    description. Raises ReplyError, with words that the model can act on, for a reply without an edit,
    one that is cut off, a block that does not fit (see `apply_blocks`), and a result that is unchanged, too large, no
    Python, leaves code out, or lacks a function of the contract that the current file has.
    """
    if not reply.strip():
        raise ReplyError("the reply is empty")
    if len(reply) > MAX_REPLY_CHARS:
        raise ReplyError(f"the reply has {len(reply)} characters; the most that is read is {MAX_REPLY_CHARS}")
    text = _without_thinking(reply.replace("\r\n", "\n"))
    windows = "\r\n" in current and not re.search(r"(?<!\r)\n", current)
    old = current.replace("\r\n", "\n") if windows else current
    blocks, before = read_blocks(text)
    if blocks:
        new, issues = apply_blocks(old, blocks)
    else:
        (new, before), issues = _whole_file(text, contract), []
    _check(old, new, contract)
    summary = _summary(before)
    if not summary:
        issues.append("no_description")
    return Read(Edit(new.replace("\n", "\r\n") if windows else new, summary=summary), tuple(issues))


def _without_thinking(text: str) -> str:
    """Returns the reply after the reasoning that some models write first."""
    if text.lstrip().startswith("<think>"):
        _, end, answer = text.partition("</think>")
        if not end:
            raise ReplyError("the reply ends before its thinking does: think less, then give the edit")
        return answer
    # The opening tag may be part of the prompt.
    thought, end, answer = text.partition("</think>")
    return answer if end and thought.count(" SEARCH\n") == thought.count(" REPLACE\n") else text


def _whole_file(text: str, contract: Sequence[str]) -> tuple[str, list[str]]:
    """Returns the file that stands in a code fence of the reply, and the lines before the fence."""
    fences = _fences(text.split("\n"))
    if not fences:
        raise ReplyError(
            "it holds no edit: begin a block with a line <<<<<<< SEARCH, or give the whole file in one ``` fence"
        )
    whole = [(content, before) for content, before in fences if _defines(content, contract)]
    if len(whole) > 1:
        raise ReplyError(f"it holds {len(whole)} code fences with a whole file; give one")
    if whole:
        return whole[0]
    if len(fences) == 1:
        _parsed(fences[0][0])
    wanted = ", ".join(f"{name}()" for name in contract)
    raise ReplyError(
        f"its code fence is not the whole file, which has {wanted}; for a part, give SEARCH/REPLACE blocks"
    )


def _fences(lines: list[str]) -> list[tuple[str, list[str]]]:
    """Returns the content of each code fence and the lines before it; raises ReplyError where one is not closed."""
    found: list[tuple[str, list[str]]] = []
    start, mark = 0, ""
    for number, line in enumerate(lines):
        if mark:
            closing = line.strip()
            if len(closing) >= len(mark) and not closing.strip(mark[0]) and not line.startswith(" "):
                found.append(("\n".join(lines[start + 1 : number]) + "\n", lines[:start]))
                mark = ""
        elif fence := _FENCE.fullmatch(line):
            start, mark = number, fence[1]
    if mark:
        raise ReplyError("its code fence is not closed: the reply is cut off, or the last ``` is missing")
    return found


def _defines(text: str, contract: Sequence[str]) -> bool:
    try:
        return set(contract) <= _functions(parse(text))
    except SourceError:
        return False


def _functions(tree: ast.Module) -> set[str]:
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def _parsed(text: str) -> ast.Module:
    try:
        return parse(text)
    except SourceError as error:
        raise ReplyError(f"the edited file is no Python: {error}") from None


def _check(old: str, new: str, contract: Sequence[str]) -> None:
    if new == old:
        raise ReplyError("the edit changes nothing")
    if len(new) > MAX_FILE_CHARS:
        raise ReplyError(f"the edited file has {len(new)} characters; the most that is allowed is {MAX_FILE_CHARS}")
    known = set(old.split("\n"))
    for number, line in enumerate(new.split("\n"), 1):
        if _LEFT_OUT.match(line) and line not in known:
            raise ReplyError(f"line {number} leaves code out ({line.strip()[:80]!r}); write out every line")
    functions = _functions(_parsed(new))
    try:
        had = _functions(parse(old))
    except SourceError:
        had = set(contract)
    gone = [f"{name}()" for name in contract if name in had and name not in functions]
    if gone:
        raise ReplyError(f"the edited file lacks {' and '.join(gone)}, which others call; keep it")


def _summary(before: Sequence[str]) -> str:
    """Returns the first line of prose before an edit, without Markdown's signs."""
    for line in before:
        words = "".join(c if c.isprintable() else " " for c in line).strip().lstrip("#*->` ").rstrip("*` ").strip()
        if words and not _FENCE.fullmatch(line.strip()) and not _FILE_NAME.fullmatch(words):
            return words[:_SUMMARY_CHARS]
    return ""
