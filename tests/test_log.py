"""The log file: every whole record is read back, whatever byte a crash stopped at."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentopt.errors import JournalError
from agentopt.journal import Journal, read_history
from agentopt.log import Log, read_log
from agentopt.trial import Origin, Outcome, Status, Suggestion

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(st.text().filter(lambda k: k != "crc"), JSON, max_size=4), max_size=6)


@given(RECORDS)
def test_records_come_back_as_they_were_written(records):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.jsonl"
        with Log(path) as log:
            for record in records:
                log.append(record)
        assert read_log(path) == (records, 0)


def test_a_file_torn_at_any_byte_gives_all_whole_records_and_takes_new_ones(tmp_path):
    whole = tmp_path / "whole.jsonl"
    records = [{"event": "asked", "x": i / 3, "text": "ä\n" * i} for i in range(5)]
    with Log(whole) as log:
        for record in records:
            log.append(record)
    data = whole.read_bytes()
    ends = [i for i, byte in enumerate(data) if byte == ord("\n")]
    for cut in range(len(data) + 1):
        torn = tmp_path / "torn.jsonl"
        torn.write_bytes(data[:cut])
        kept = sum(end <= cut for end in ends)  # a record is whole with or without its newline
        with Log(torn) as log:
            log.append({"new": True})
        found, _ = read_log(torn)
        assert found == [*records[:kept], {"new": True}], cut


def test_a_damaged_byte_costs_only_its_own_record(tmp_path):
    path = tmp_path / "x.jsonl"
    with Log(path) as log:
        for i in range(3):
            log.append({"i": i})
    data = bytearray(path.read_bytes())
    data[data.index(b'"i":1') + 4] = ord("7")
    path.write_bytes(data)
    assert read_log(path) == ([{"i": 0}, {"i": 2}], 1)


def test_a_second_process_is_refused(tmp_path):
    with Journal(tmp_path / "run", {"method": "x"}), pytest.raises(JournalError, match="in use"):
        Journal(tmp_path / "run")
    Journal(tmp_path / "run").close()


def test_a_journal_torn_at_any_byte_keeps_every_finished_trial(tmp_path):
    with Journal(tmp_path / "run", {"method": "x"}) as journal:
        for i in range(4):
            (number,) = journal.asked(1, [Suggestion({"x": i / 7}, Origin.RANDOM, i)], [{"x": i / 7}], t=i, seconds=0)
            journal.finished(number, Outcome(Status.COMPLETE, (i / 3,)), seconds=0.1, t=i)
    path = tmp_path / "run" / "journal.jsonl"
    data = path.read_bytes()
    ends, start = [], 0
    for line in data.splitlines(keepends=True):
        start += len(line)
        if b'"event":"finished"' in line:
            ends.append(start - 1)
    for cut in range(data.index(b"\n") + 1, len(data) + 1):
        path.write_bytes(data[:cut])
        assert len(read_history(tmp_path / "run").trials) == sum(end <= cut for end in ends), cut


def test_a_folder_that_is_no_run_says_so(tmp_path):
    with pytest.raises(JournalError, match="not a run folder"):
        read_history(tmp_path)
