"""What a user sees on a terminal and in a pipe, command by command."""

from __future__ import annotations

import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest

from agentopt.cli import main

EVIL = "\x1b]0;title\x07\x1b[31m\x9b2J\u202e"
CODES = "\x1b\x07\x9b\u202e"
HOSTILE = f"""
from agentopt import Choice, Float
description = {EVIL!r} + " is what it is about."
space = [Float("x", 0, 1), Choice("kind", ["plain", {EVIL!r}])]
def evaluate(params, seed=0):
    if params["kind"] != "plain":
        raise ValueError({EVIL!r})
    return params["x"]
"""
COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path


def on_a_terminal(*arguments, columns=80):
    """Returns what a command writes on a terminal, without the colours."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    command = [sys.executable, "-m", "agentopt", *arguments]
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        text = b""
        try:
            while part := os.read(ours, 1 << 16):
                text += part
        except OSError:  # the other end is closed
            pass
        assert process.wait(60) == 0, text
    os.close(ours)
    return COLOURS.sub("", text.decode()).replace("\r\n", "\n")


def test_a_narrow_terminal_has_every_name_and_no_line_that_is_longer(capsys):
    text = on_a_terminal("list", "methods", columns=60)
    assert all(len(line) <= 60 for line in text.splitlines())
    assert "\nregularized-evolution " in text


def test_what_a_task_is_about_is_said_in_whole_sentences(capsys):
    from agentopt.catalog import tasks

    for name, parameters, _, about in tasks():
        assert parameters == "-" or about.endswith("."), (name, about)


def test_nothing_that_a_task_says_reaches_the_terminal_as_a_control_code(capsys, here):
    (here / "hostile.py").write_text(HOSTILE)
    names = ("--task", "hostile.py", "--trials", "12", "--name", "x")
    commands = [["run", "random", *names], ["show", "x"], ["show", "hostile.py"]]
    commands += [["task", "check", "hostile.py"], ["list", "runs"], ["show", "x", "--json"]]
    for arguments in commands:
        assert main(arguments) in (0, 1), arguments
        out = capsys.readouterr()
        assert not any(code in out.out + out.err for code in CODES), arguments
        assert arguments[0] != "show" or "--json" in arguments or "<U+001B>" in out.out
    assert main(["show", "x", "--json"]) == 0
    values = {trial["params"]["kind"] for trial in json.loads(capsys.readouterr().out)["trials"]}
    assert values == {"plain", EVIL}


@pytest.mark.parametrize("arguments", [["run", EVIL], ["show", EVIL], ["report", EVIL], ["run", "--config", EVIL]])
def test_an_error_repeats_what_was_typed_without_control_codes(capsys, arguments):
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert not any(code in err for code in CODES)
    assert "title" in err


@pytest.mark.parametrize("group", [[], ["list"], ["task"], ["models"]])
def test_help_says_whole_sentences(group, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert main([*group, "--help"]) == 0
    commands = capsys.readouterr().out.partition("Commands:")[2]
    assert commands
    assert "..." not in commands


def test_a_trial_that_is_not_there(capsys):
    assert main(["run", "random", "--task", "hartmann6", "--trials", "11", "--name", "x"]) == 0
    assert main(["show", "x", "--trial", "99"]) == 2
    assert "runs/x has no trial 99: its trials are 0 to 10." in capsys.readouterr().err


def test_show_a_run_on_a_narrow_terminal(capsys):
    name = "a-run-with-a-name-that-is-rather-long-and-must-not-be-broken-over-two-lines"
    assert main(["run", "random", "--task", "hartmann6", "--trials", "3", "--name", name]) == 0
    assert name in on_a_terminal("show", name, columns=60)
    assert Path("runs", name).is_dir()
