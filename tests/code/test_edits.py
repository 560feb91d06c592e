"""Edits: what a reply changes, and the words in which it is refused."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentopt.code.blocks import apply_blocks, read_blocks
from agentopt.code.edits import MAX_FILE_CHARS, MAX_REPLY_CHARS, read_edit
from agentopt.llm.values import ReplyError

FILE = '''\
"""Trains."""
DEPTH = 8  # layers
WIDTH = 64


def build():
    layers = []
    for _ in range(DEPTH):
        layers.append(WIDTH)
    return layers


def main():
    model = build()
    print(model)
    return model


if __name__ == "__main__":
    main()
'''


def block(search, replace):
    return f"<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"


DEEPER = block("DEPTH = 8  # layers", "DEPTH = 12  # layers")
DEEP = FILE.replace("DEPTH = 8", "DEPTH = 12")


@pytest.mark.parametrize(
    "reply",
    [
        f"Deeper.\n{DEEPER}",
        f"\n\n## Deeper.\n\n```python\n{DEEPER}```\nThis gives more layers.",
        f"**Deeper.**\n\ntrain.py\n```\n{DEEPER}```",
        f"<think>\nShall I?\n{block('x', 'y')}```\n</think>\n\nDeeper.\n{DEEPER}",
        f"The prompt opened the tag. {block('x', 'y')}\n</think>\nDeeper.\n{DEEPER}",
        f"Deeper.\n{DEEPER}".replace("\n", "\r\n"),
        f"- Deeper.\n{DEEPER.replace('<<<<<<<', '<<<<<').replace('=======', '=====').replace('>>>>>>>', '>>>>>')}",
        f"Deeper.\n```python\n{DEEP}```\nGood luck",
        f"Deeper.\n~~~~\n{DEEP}~~~~",
        f"Deeper.\n```\nDEPTH = 12\n```\nSo:\n```python\n{DEEP}```\n```\nDone.\n```",
        f"`train.py`:\n```python\n{DEEP}```".replace("`train.py`:", "Deeper.\n`train.py`:"),
    ],
)
def test_an_edit_is_read_however_it_is_wrapped(reply):
    read = read_edit(reply, FILE)
    assert read.value.text == DEEP
    assert read.value.summary == "Deeper."
    assert read.value.parent is None
    assert read.issues == ()


def test_several_blocks_are_applied_one_after_the_other():
    reply = "Two.\n" + DEEPER + "and\n" + block("DEPTH = 12  # layers\nWIDTH = 64", "DEPTH = 12\nWIDTH = 32\n")
    assert read_edit(reply, FILE).value.text == FILE.replace(
        "DEPTH = 8  # layers\nWIDTH = 64", "DEPTH = 12\nWIDTH = 32\n"
    )


def test_lines_are_deleted_by_an_empty_replacement():
    read = read_edit("No print.\n<<<<<<< SEARCH\n    print(model)\n=======\n>>>>>>> REPLACE", FILE)
    assert read.value.text == FILE.replace("    print(model)\n", "")


def test_a_description_that_is_missing_is_an_issue():
    read = read_edit(DEEPER, FILE)
    assert (read.value.summary, read.issues) == ("", ("no_description",))
    assert read_edit(f"```\n{DEEP}```", FILE).issues == ("no_description",)


def test_a_description_is_cut_and_printable():
    assert read_edit(f"a\x1b[31m\u202eb{'x' * 999}\n{DEEPER}", FILE).value.summary == f"a [31m b{'x' * 192}"


def test_blanks_at_the_ends_of_lines_do_not_matter_and_context_keeps_its_own():
    current = FILE.replace("DEPTH = 8  # layers", "DEPTH = 8  # layers  ").replace("WIDTH = 64", "WIDTH = 64\t")
    read = read_edit("d\n" + block("DEPTH = 8  # layers\nWIDTH = 64 ", "DEPTH = 8  # layers\nWIDTH = 32"), current)
    assert read.value.text == current.replace("WIDTH = 64\t", "WIDTH = 32")
    assert read.issues == ("blanks:1",)


@pytest.mark.parametrize("shift", [-4, 4])
def test_a_shift_of_the_whole_block_is_undone(shift):
    search = "    for _ in range(DEPTH):\n        layers.append(WIDTH)\n\n    return layers"
    replace = "    for i in range(DEPTH):\n\n        layers.append(i)\n    return layers"
    current = FILE.replace("(WIDTH)\n", "(WIDTH)\n\n")
    if shift > 0:
        moved = block(textwrap.indent(search, "    "), textwrap.indent(replace, "    "))
    else:
        moved = block(textwrap.dedent(search), textwrap.dedent(replace))
    read = read_edit("d\n" + DEEPER + moved, current)
    assert read.value.text == DEEP.replace(search.replace("\n\n", "\n"), replace)
    assert read.issues == ("indentation:2",)


def test_tabs_in_place_of_spaces_are_no_shift():
    search = "\tfor _ in range(DEPTH):\n\t\tlayers.append(WIDTH)"
    with pytest.raises(ReplyError, match="block 1: its SEARCH part is not in the file"):
        read_edit("d\n" + block(search, search.replace("WIDTH", "1")), FILE)


def test_a_line_like_a_divider_may_be_put_in_and_is_refused_where_it_could_be_meant_otherwise():
    title = '"""Title\n=======\nTrains."""'
    read = read_edit("d\n" + block('"""Trains."""', title), FILE)
    assert read.value.text == FILE.replace('"""Trains."""', title)
    with pytest.raises(ReplyError, match="block 1 can be read in two ways"):
        read_edit("d\n" + block(title, title.replace("Title", "Other")), read.value.text)


def test_windows_newlines_of_the_file_stay():
    current = FILE.replace("\n", "\r\n")
    assert read_edit(f"d\n{DEEPER}", current).value.text == DEEP.replace("\n", "\r\n")
    assert read_edit(f"d\n```\n{DEEP}```", current).value.text == DEEP.replace("\n", "\r\n")


def test_a_file_without_a_last_newline_is_edited_at_its_end():
    read = read_edit("d\n" + block("    main()", "    main()  # run"), FILE.rstrip("\n"))
    assert read.value.text == FILE.rstrip("\n") + "  # run"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("x" * (MAX_REPLY_CHARS + 1), "characters; the most that is read"),
        ("I would make it deeper.", "holds no edit: begin a block with a line <<<<<<< SEARCH"),
        ("<think>Let me see", "ends before its thinking does"),
        ("d\n<<<<<<< SEARCH\nDEPTH = 8  # layers\n", "block 1 has no REPLACE marker: the reply is cut off"),
        (DEEPER + "<<<<<<< SEARCH\nWIDTH = 64\n=======\nWIDTH =", "block 2 has no REPLACE marker"),
        (DEEPER + "<<<<<<< SEARCH\nWIDTH = 64\n>>>>>>> REPLACE", "block 2 has no line ======="),
        ("<<<<<<< SEARCH\nDEPTH = 8\n" + DEEPER, "block 1 has a second SEARCH marker"),
        (DEEPER + ">>>>>>> REPLACE", "the REPLACE marker of block 2 has no SEARCH marker"),
        (block("", "DEPTH = 9"), "block 1: its SEARCH part is empty"),
        (block("\n  \n", "DEPTH = 9"), "block 1: its SEARCH part is empty"),
        (
            DEEPER + block("WIDHT = 64", "WIDTH = 32"),
            "block 2: its SEARCH part is not in the file: 'WIDHT = 64' is no line of it, the nearest are line 3: WIDTH",
        ),
        (block("DEPTH = 8", "DEPTH = 9"), "the nearest are line 2: DEPTH = 8  # layers"),
        (block("DEPTH", "WIDTH"), "block 1: its SEARCH part is not in the file"),
        (block("zzzz", "y"), "no line is like it"),
        (block("WIDTH = 64\nDEPTH = 8  # layers", "y"), "but not one after the other"),
        (block("", "").replace("\n\n", "\n\nx\n", 1), "'x' is no line of it"),
        (DEEPER + DEEPER, "block 2: its SEARCH part is not in the file: 'DEPTH = 8  # layers'"),
        (block("WIDTH = 64", "WIDTH = 64"), "changes nothing"),
        (f"```\n{FILE}```", "changes nothing"),
        (
            block("WIDTH = 64", "WIDTH = (64"),
            "the edited file is no Python: line 3: '(' was never closed (`WIDTH = (64`)",
        ),
        (block("    return layers", "\treturn layers"), "the edited file is no Python: line 10"),
        (block("def build():", "def make():"), "lacks build(), which others call"),
        (block("WIDTH = 64", "# ... the rest as before"), "line 3 leaves code out"),
        (block("WIDTH = 64", "WIDTH = " + "1 + " * MAX_FILE_CHARS), "characters; the most"),
        (f"d\n```python\n{DEEP}", "fence is not closed"),
        (f"d\n```python\n{DEEP}```\n```python\n{DEEP}```", "2 code fences with a whole file"),
        ("d\n```python\nDEPTH = 12\n```", "its code fence is not the whole file, which has build(), main()"),
        ("d\n```python\nDEPTH = = 12\n```", "no Python: line 1"),
        ("d\n```python\nDEPTH = 12\n```\n```\nx\n```", "its code fence is not the whole file"),
        (block("WIDTH = 64", "WIDTH = '\ud800'"), "no Python"),
        (block("WIDTH = 64", "WIDTH = '\0'"), "no Python"),
        (block("WIDTH = 64", "WIDTH = " + "-" * 60000 + "1"), "nested too deeply"),
    ],
)
def test_what_cannot_be_used_is_refused_with_words_that_help(reply, reason):
    with pytest.raises(ReplyError) as error:
        read_edit(reply, FILE)
    assert reason in str(error.value)
    assert len(str(error.value)) < 600


def test_lines_that_occur_more_than_once_are_refused_with_the_places():
    current = FILE + "\n\ndef other():\n    model = build()\n    return model\n"
    reply = "d\n" + block("    model = build()", "    model = None")
    with pytest.raises(ReplyError, match=r"block 1: its SEARCH part is found more than once \(from lines 14, 24\)"):
        read_edit(reply, current)
    shifted = "d\n" + block("model = build()", "model = None")
    with pytest.raises(ReplyError, match="found more than once"):
        read_edit(shifted, current)
    wider = "d\n" + block("    model = build()\n    return model", "    return None")
    assert read_edit(wider, current).value.text == current.replace(
        "def other():\n    model = build()\n    return model", "def other():\n    return None"
    )


def test_a_replacement_that_cannot_be_shifted_is_refused():
    search = "        for _ in range(DEPTH):\n            layers.append(WIDTH)"
    with pytest.raises(ReplyError, match="block 1: its REPLACE part is indented less"):
        read_edit("d\n" + block(search, "x = 1"), FILE)


def test_a_function_that_the_file_never_had_is_not_asked_for():
    assert read_edit("d\n" + block("A = 1", "A = 2"), "A = 1\n").value.text == "A = 2\n"


def test_degenerate_texts_do_not_take_long():
    many = "\n" * 50_000 + FILE
    with pytest.raises(ReplyError):
        read_edit("d\n" + block("\n" * 20_000 + "x", "y"), many)
    same = "x = 1\n" * 20_000 + FILE
    with pytest.raises(ReplyError, match=r"found more than once \(from lines 1, 2, 3, 4, 5\)"):
        read_edit("d\n" + block("x = 1\n" * 9_999 + "x = 1", "y"), same)


LINES = st.sampled_from(
    ["", " ", "a", "  a", "b", "\tb", "b ", "=======", "a = '<<<<<<< SEARCH'", "```", "</think>", "ß"]
)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_random_edit_written_as_blocks_gives_exactly_the_target(data):
    """Each block replaces some lines of the text so far, with as much context as makes them unique."""
    lines = data.draw(st.lists(LINES, min_size=1, max_size=12))
    original, blocks = "\n".join(lines), ""
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(lines) - 1))
        end = data.draw(st.integers(start + 1, len(lines)))
        put = data.draw(st.lists(LINES, max_size=4))
        while _count(lines, lines[start:end]) > 1 or not any(line.strip() for line in lines[start:end]):
            if start == 0 and end == len(lines):
                assume(False)
            low, high = max(0, start - 1), min(len(lines), end + 1)
            put = [*lines[low:start], *put, *lines[end:high]]
            start, end = low, high
        blocks += "\n".join(["<<<<<<< SEARCH", *lines[start:end], "=======", *put, ">>>>>>> REPLACE"]) + "\n"
        lines = [*lines[:start], *put, *lines[end:]] or [""]
    read, before = read_blocks("words\n" + blocks)
    assert before == ["words"]
    try:
        text, issues = apply_blocks(original, read)
    except ReplyError:
        if blocks.count("=======") > len(read):
            return
        raise
    assert text == "\n".join(lines)
    assert issues == []


def _count(lines, wanted):
    return sum(lines[i : i + len(wanted)] == wanted for i in range(len(lines)))


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="<=>` SEARCHREPLACEab\n'", max_size=200), st.sampled_from(["", DEEPER, f"```\n{DEEP}```\n"]))
def test_no_reply_ends_in_another_error_or_in_a_file_that_is_no_python(text, edit):
    for reply in (text + "\n" + edit, edit + text, text):
        try:
            read = read_edit(reply, FILE)
        except ReplyError:
            continue
        compile(read.value.text, "train.py", "exec")
        assert read.value.text != FILE


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(f"Deeper.\n{DEEPER}")), st.booleans())
def test_a_reply_that_is_cut_off_anywhere_is_refused_or_whole(cut, blocks):
    reply = f"Deeper.\n{DEEPER}" if blocks else f"Deeper.\n```\n{DEEP}```\n"
    part = reply[: cut if blocks else cut * len(reply) // len(f"Deeper.\n{DEEPER}")]
    try:
        assert read_edit(part, FILE).value.text == DEEP
        assert len(part) >= len(reply) - 1
    except ReplyError:
        assert len(part) < len(reply)
