"""The report of a run of code: what became of each experiment, what it changed, what was kept, hostile or not."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from code_report_runs import LONG, TEXT, TRIALS, write_code_run
from hypothesis import given, settings
from hypothesis import strategies as st
from report_runs import EVIL, write_run

from agentopt.cli import _conclude, main
from agentopt.code.keeper import Verdict
from agentopt.errors import UsageError
from agentopt.journal import Journal
from agentopt.protocols import Objective
from agentopt.report import experiments
from agentopt.report import versions as versions_module
from agentopt.report.analysis import RunAnalysis
from agentopt.report.experiments import FILE, ResultsFile, patch_of, write_results
from agentopt.report.figures.experiments import experiments_figure
from agentopt.report.foreign import LONGEST_LINE, shown_patch, visible
from agentopt.report.html import write_report
from agentopt.report.html.code_part import code_part
from agentopt.report.load import load_run
from agentopt.report.verdicts import best_kept, best_version, experiment_rows, lineage
from agentopt.report.versions import unified, versions_of
from agentopt.trial import Edit, Origin, Outcome, Status, Suggestion
from agentopt.watchers import Watchers

VERDICTS = (
    *("keep", "again", "keep", "keep", "discard", "crash"),
    *("keep", "crash", "keep", "discard", "discard", "discard"),
)


class Page(HTMLParser):
    """The tags of a page, the texts of the cells of its experiments, and its data."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.rows, self.patches, self._cell, self._in_patch = [], [], [], None, False
        self.feed(text)
        self.data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag == "tr":
            self._cell = None
            if "data-verdict" in attrs:
                self.rows.append([])
                self._cell = self.rows[-1]
        elif tag == "td" and self._cell is not None:
            self._cell.append("")
        elif tag == "pre":
            self.patches.append("")
            self._in_patch = True

    def handle_endtag(self, tag):
        if tag == "table":
            self._cell = None
        self._in_patch = self._in_patch and tag != "pre"

    def handle_data(self, data):
        if self._in_patch:
            self.patches[-1] += data
        elif self._cell:
            self._cell[-1] += data.strip("\n")

    @property
    def ids(self):
        return {attrs.get("id") for _, attrs in self.tags}


def page_of(run, out):
    return Page(write_report([RunAnalysis(load_run(run))], out).read_text(encoding="utf-8"))


def rows_of(run):
    report = load_run(run)
    return experiment_rows(report, versions_of(report))


def tsv(run):
    """Returns the rows of `results.tsv`, each by its column."""
    text = (run / FILE).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_code_run(tmp_path_factory.mktemp("code") / "agent")


@pytest.fixture(scope="module")
def page(run):
    return page_of(run, run / "report.html")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    return write_code_run(tmp_path_factory.mktemp("code") / "tuned", 8, method="random")


def test_each_experiment_has_its_verdict_its_change_and_its_cause(run):
    rows = rows_of(run)
    assert tuple(row.verdict for row in rows) == VERDICTS
    assert [row.trial.id for row in rows] == list(range(TRIALS))
    assert rows[2].change == pytest.approx(-2)
    assert rows[2].gain == pytest.approx(2)
    assert rows[4].change == pytest.approx(3)
    assert [rows[i].change for i in (0, 1, 5, 7)] == [None] * 4
    assert [(rows[i].added, rows[i].removed) for i in (1, 2, 6, 9)] == [(0, 0), (1, 1), (2, 2), (5, 0)]
    assert [rows[i].parent for i in (2, 3, 6)] == [None, 2, 5]
    assert "NameError: boom" in rows[5].cause
    assert rows[7].cause == "not causal: it looked ahead"


def test_a_change_has_the_sign_of_the_values(tmp_path):
    rows = rows_of(write_code_run(tmp_path / "run", 4, objective=Objective("score", "maximize")))
    assert rows[2].change == pytest.approx(2)
    assert rows[2].value - rows[0].value == pytest.approx(2)
    assert rows[2].gain > 0


def test_the_way_to_the_best_goes_through_what_was_mended(run):
    report = load_run(run)
    steps = lineage(report)
    assert [step.trial for step in steps] == [None, 2, 3, 5, 6, 8]
    assert [step.verdict for step in steps] == ["keep", "keep", "keep", "crash", "keep", "keep"]
    assert steps[0].runs == 2
    assert steps[3].value is None
    assert steps[4].change == pytest.approx(-1)
    assert steps[-1].trial == best_version(report)
    curve = best_kept(report, report.keeper)
    assert sorted(curve, reverse=True) == list(curve)
    assert curve[-1] == report.keeper.best.mean
    assert curve[5] == curve[4]


def test_what_was_kept_beside_the_way_is_named(tmp_path):
    part = code_part(load_run(write_code_run(tmp_path / "run", patience=1)))
    way = {step.trial for step in part.steps}
    kept = {row.trial.id for row in part.rows if row.verdict == "keep" and row.trial.id != 0}
    assert {row.trial.id for row in part.others} == kept - way
    assert kept - way


def test_the_noise_is_said_with_where_it_comes_from(tmp_path):
    assert "measured on one version" in code_part(load_run(write_code_run(tmp_path / "a", 3))).noise
    assert "is not known: none ran twice" in code_part(load_run(write_code_run(tmp_path / "b", 1))).noise
    stated = code_part(load_run(write_code_run(tmp_path / "c", 2, noise_floor=0.25))).noise
    assert "taken to differ by 0.25 in loss" in stated


def test_the_page_has_every_experiment_with_its_patch_and_its_exchange(page, run):
    report = load_run(run)
    assert {"r0-s-experiments", "r0-s-kept"} <= page.ids
    assert [row[1] for row in page.rows] == list(VERDICTS)
    assert "#0" in page.rows[2][6]
    assert page.rows[7][9] == "invalid"
    trials = page.data["runs"]["r0"]["trials"]
    assert "-DEPTH = 2\n+DEPTH = 4" in trials["2"]["code"]["patch"]
    assert trials["6"]["code"]["parent"] == 5
    assert trials["1"]["code"]["patch"] == ""
    whole = shown_patch(versions_of(report).patch(None, best_version(report)), 2000, "")
    assert page.patches == [whole]
    assert "-DEPTH = 2" in whole
    names = [trace["name"] for trace in page.data["figures"]["r0-experiments"]["data"]]
    assert names == ["best kept", "kept (5)", "discarded (4)", "second runs (1)", "no value (2)"]
    verdicts = [attrs for tag, attrs in page.tags if tag == "select" and attrs["data-filter"] == "verdict"]
    assert len(verdicts) == 1


def test_hostile_code_stays_text_and_is_cut_where_all_can_see_it(page, run):
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 3
    assert any(EVIL[:20] in cell for row in page.rows for cell in row)
    patch = page.data["runs"]["r0"]["trials"]["9"]["code"]["patch"]
    assert f"+# {EVIL}" in patch
    assert "+# -- <U+001B>[31m <U+202E> <U+200B>" in patch
    assert f"[... {len(LONG) + 7 - LONGEST_LINE:,} more characters]" in patch
    assert len(patch) < 2000
    assert "<U+202E>" in page.rows[5][-1]
    assert not re.search("[\x00-\x08\x1b\u202e]", "".join(cell for row in page.rows for cell in row))
    assert LONG in patch_of(load_run(run), 9)


def test_a_method_that_keeps_nothing_is_shown_without_verdicts(tuned, tmp_path):
    report = load_run(tuned)
    rows = rows_of(tuned)
    assert {row.verdict for row in rows} == {""}
    assert rows[0].change is None
    assert rows[1].change == pytest.approx(rows[1].value - rows[0].value)
    assert rows[1].summary.startswith("DEPTH = ")
    page = page_of(tuned, tmp_path / "r.html")
    assert "r0-experiments" not in page.data["figures"]
    assert "lineage" not in {attrs.get("class") for _, attrs in page.tags}
    assert page.rows[0][1] == f"{rows[0].value:.6g}"
    assert page.patches == [patch_of(report, report.best.id).rstrip("\n")]
    assert f"+DEPTH = {report.best.params['DEPTH']}" in page.patches[0]


def test_a_tuned_trial_has_a_patch_on_the_terminal_too(tuned, capsys):
    assert main(["show", tuned.name, "--runs-dir", str(tuned.parent), "--trial", "1", "--diff"]) == 0
    assert capsys.readouterr().out.startswith("--- a/program.py\n+++ b/program.py\n@@ ")
    with pytest.raises(UsageError, match="no code of a trial 99"):
        patch_of(load_run(tuned), 99)


def test_other_runs_and_runs_without_a_trial_have_no_such_part(tmp_path):
    assert code_part(load_run(write_run(tmp_path / "plain", 5))) is None
    assert "r0-s-experiments" not in page_of(tmp_path / "plain", tmp_path / "r.html").ids
    assert write_results(load_run(tmp_path / "plain")) is None
    empty = write_code_run(tmp_path / "empty", 1)
    lines = (empty / "journal.jsonl").read_text().splitlines(keepends=True)
    (empty / "journal.jsonl").write_text(lines[0])
    assert code_part(load_run(empty)) is None
    assert "r0-s-experiments" not in page_of(empty, tmp_path / "e.html").ids


def test_a_run_in_which_everything_failed_has_a_page(tmp_path, run):
    header = {key: load_run(run).header[key] for key in ("method", "task", "seed", "space", "objectives", "options")}
    header |= {"code": load_run(run).header["code"]}
    folder = tmp_path / "run"
    with Journal(folder, header) as made:
        for i in range(3):
            edit = Edit(f"{TEXT}# {i}", None, f"\x00 {EVIL} \ud800")
            made.asked(1, [Suggestion({}, Origin.LLM, i, {"calls": [i]}, edit)], [{}], t=i, seconds=0.1)
            made.finished(i, Outcome(Status.FAILED, error="a\nb \ud800\x1b"), seconds=0.1, t=i)
    page = page_of(folder, tmp_path / "r.html")
    assert [row[1] for row in page.rows] == ["crash"] * 3
    assert page.rows[0][-1] == "b <U+D800><U+001B>"
    assert page.patches == []
    assert page.data["figures"]["r0-experiments"]["data"][0]["y"] == [None] * 3
    assert write_results(load_run(folder)) is not None
    rows = tsv(folder)
    assert [row["status"] for row in rows] == ["crash"] * 3
    assert {row["commit"] for row in rows} == {""}
    assert rows[0]["description"].startswith("</script>")


def test_results_are_written_while_the_run_goes_on(tmp_path):
    seen, folder = [], tmp_path / "run"

    def watch(history):
        seen.append((len(history.trials), len(tsv(folder)) if history.trials else 0))

    write_code_run(folder, 7, watch=Watchers([ResultsFile(folder), watch], pytest.fail))
    again = sum(verdict == "again" for verdict in VERDICTS[:7])
    assert {count for count, _ in seen} == set(range(8))
    assert all(rows == count - (again if count > 1 else 0) for count, rows in seen)
    during = (folder / FILE).read_bytes()
    write_results(load_run(folder))
    assert (folder / FILE).read_bytes() == during
    assert [row["status"] for row in tsv(folder)] == [v for v in VERDICTS[:7] if v != "again"]
    assert all(re.fullmatch("[0-9a-f]{7}", row["commit"]) for row in tsv(folder)[1:])
    assert tsv(folder)[0]["memory_gb"] == "0.5"
    assert [path.name for path in folder.iterdir() if path.name.startswith(f".{FILE}")] == []


def test_results_that_cannot_be_written_stop_nothing(tmp_path):
    folder = tmp_path / "run"

    def in_its_way(_):
        (folder / FILE).mkdir(exist_ok=True)

    write_code_run(folder, 3, watch=Watchers([ResultsFile(folder), in_its_way], pytest.fail))
    assert load_run(folder).status == "done"
    assert len(load_run(folder).trials) == 3


def test_a_fault_in_the_table_ends_no_run(tmp_path, monkeypatch):
    def fault(*_):
        raise KeyError("a fault of ours")

    monkeypatch.setattr(experiments, "results_table", fault)
    folder, seen, said = tmp_path / "run", [], []
    watchers = Watchers([ResultsFile(folder), lambda history: seen.append(len(history.trials))], said.append)
    write_code_run(folder, 3, watch=watchers)
    assert load_run(folder).status == "done"
    assert max(seen) == 3
    assert said == ["ResultsFile is left out from now on, the run goes on: KeyError: 'a fault of ours'"]


@pytest.mark.parametrize(
    ("error", "words"), [(OSError(30, "Read-only file system"), "Read-only"), (KeyError("x"), "x")]
)
def test_a_run_whose_results_cannot_be_written_ends_well_and_says_so(tmp_path, monkeypatch, capsys, error, words):
    run = write_code_run(tmp_path / "run", 3)

    def broken(*_):
        raise error

    monkeypatch.setattr(experiments, "_write", broken)
    _conclude(run, as_json=True)
    said = capsys.readouterr()
    assert json.loads(said.out)["trials"]["complete"] == 3
    assert f"results.tsv could not be made: {words}" in said.err.replace("'", "")


def test_a_folder_that_takes_no_file_says_why(tmp_path, run):
    """Where half a file is not there to be taken away, the first error is the one that is told."""
    report = replace(load_run(run), run=tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match=r"gone/\.results"):
        write_results(report)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        write_results(replace(report, run=tmp_path / "file"))


def test_a_summary_is_one_field_of_one_line(run):
    write_results(load_run(run))
    lines = (run / FILE).read_text(encoding="utf-8").splitlines()
    assert len(lines) == TRIALS  # the header, and all but one second run
    assert {line.count("\t") for line in lines} == {4}


def test_the_figure_names_what_became_of_the_experiments(run):
    report = load_run(run)
    labels = {text.get_text() for text in experiments_figure(report, report.keeper).legends[0].get_texts()}
    assert labels == {"best kept", "kept (5)", "discarded (4)", "second runs (1)", "no value (2)"}


TEXTS = st.text(st.sampled_from("ab\n\r\t \x0c\x0b\x85\u2028+-@\\"), max_size=40)


@given(before=TEXTS, after=TEXTS, most=st.sampled_from([0, versions_module.MOST_LINES]))
@settings(max_examples=40)
def test_git_makes_the_second_text_of_the_first_and_the_patch(tmp_path_factory, before, after, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(versions_module, "MOST_LINES", most)
        found = unified(before, after, "f.py")
    assert (found == "") == (before == after)
    if not found:
        return
    folder = tmp_path_factory.mktemp("apply")
    (folder / "f.py").write_bytes(before.encode())
    apply = ["git", "apply", "--whitespace=nowarn", "--unidiff-zero", "-"]
    subprocess.run(apply, cwd=folder, input=found.encode(), check=True, env={"GIT_CEILING_DIRECTORIES": str(folder)})
    assert (folder / "f.py").read_bytes() == after.encode()


@given(text=st.text())
def test_nothing_in_a_visible_text_is_hidden(text):
    shown = visible(text)
    assert shown.replace("\n", "").replace("\t", "").isprintable()
    assert visible(shown) == shown
    assert shown == text or not text.isprintable()


def test_a_long_patch_says_how_much_is_missing():
    lines = [f"+{i}" for i in range(50)]
    shown = shown_patch("\n".join(lines) + "\n", 10, "show it")
    assert shown.split("\n") == [*lines[:10], "[... 40 more lines: show it]"]
    assert shown_patch("", 10, "") == ""


def test_a_verdict_of_each_kind_has_its_look(run, monkeypatch):
    report = load_run(run)
    monkeypatch.setitem(report.keeper.verdicts, 4, Verdict.OPEN)
    part = code_part(report)
    assert "undecided (1)" in [trace.name for trace in part.figures["experiments"].data]
    assert part.verdicts == ["keep", "discard", "crash", "open", "again"]
