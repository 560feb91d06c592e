"""The files of a run's report: every figure as PNG and SVG, every table as CSV, whatever the run holds."""

from __future__ import annotations

import csv
import io
import math
import sys
from pathlib import Path

import pytest
from report_runs import SPACE, write_run
from rich.console import Console

from agentopt.cli import main
from agentopt.journal import Journal
from agentopt.protocols import Objective
from agentopt.report.analysis import RunAnalysis
from agentopt.report.axes import is_log, log_marks
from agentopt.report.canvas import words
from agentopt.report.figures import write_figures
from agentopt.report.html import write_report
from agentopt.report.html.run_part import run_part
from agentopt.report.load import load_run
from agentopt.report.scale import Scale
from agentopt.report.tables import run_tables, write_tables
from agentopt.report.text import render
from agentopt.space import Float, Int, SearchSpace
from agentopt.trial import Edit, Origin, Outcome, Status, Suggestion

BOTH = (Objective("loss"), Objective("gain", "maximize"))
PLAIN = SearchSpace((Float("x", 0, 1), Int("n", 1, 9)))


def analysis(run):
    return RunAnalysis(load_run(run))


def write_values(run, values, objectives):
    """Writes a run whose trials have these values."""
    record = {"method": "tpe", "task": "toy", "seed": 0, "space": PLAIN.to_json(), "budget": {"trials": len(values)}}
    record["objectives"] = [{"name": o.name, "direction": o.direction, "reference": None} for o in objectives]
    with Journal(run, record) as journal:
        for i, value in enumerate(values):
            params = {"x": (i + 0.5) / len(values), "n": 1 + i % 9}
            journal.asked(1, [Suggestion(params, Origin.TPE, i)], [params], t=i, seconds=0.1)
            outcome = Outcome(Status.COMPLETE, (value,) if len(objectives) == 1 else (value, -value))
            journal.finished(i, outcome, seconds=0.1, t=i + 0.5)
        journal.stopped("trials", t=len(values))
    return run


def read(path):
    return list(csv.DictReader(path.open(encoding="utf-8", newline="")))


@pytest.fixture(scope="module", params=[BOTH[:1], BOTH], ids=["one", "two"])
def drawn(request, tmp_path_factory):
    """A run of one or two objectives, and its figures."""
    folder = tmp_path_factory.mktemp("drawn")
    found = analysis(write_run(folder / "run", 60, objectives=request.param))
    return found, write_figures(found, folder)


def test_every_figure_of_the_page_is_a_png_and_an_svg(drawn):
    found, paths = drawn
    on_page = {name.partition("-")[2].partition("-")[0] for name in run_part("r0", found).figures}
    on_page = {"slices" if name == "slice" else name for name in on_page}
    assert {path.stem for path in paths} == on_page
    assert len(paths) == 2 * len(on_page) == (14 if len(found.report.objectives) == 1 else 18)
    for path in paths:
        head = path.read_bytes()
        assert head.startswith(b"\x89PNG") if path.suffix == ".png" else b"<svg" in head[:2000], path


def test_the_same_run_gives_the_same_figures(drawn, tmp_path):
    found, paths = drawn
    again = write_figures(found, tmp_path)
    assert [path.name for path in again] == [path.name for path in paths]
    for path, other in zip(paths, again, strict=True):
        assert path.read_bytes() == other.read_bytes(), path.name


def test_the_same_run_gives_the_same_tables(tmp_path):
    found = analysis(write_run(tmp_path / "run", 30))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_tables(found, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_texts_are_drawn_as_they_are(tmp_path):
    """What looks like a formula to the drawing library is none."""
    paths = write_figures(analysis(write_run(tmp_path / "run", 4, evil="$x^ \\frac$")), tmp_path)
    assert {"convergence.png", "slices.svg", "parallel.svg"} <= {path.name for path in paths}
    assert words("a\n$b$ \ud800") == "a \\$b\\$ ?"
    assert words("x" * 70) == "x" * 57 + "..."


@pytest.mark.parametrize("objectives", [BOTH[:1], BOTH])
@pytest.mark.parametrize(
    "values",
    [
        [1e308, -1e308, 3.0, 5.0] * 6,
        [1.7e308, 1e-308, 5.0] * 8,
        [5e-324, 0.0, 1e-300] * 8,
        [1.7e308] * 22,
        [1e308, *map(float, range(1, 24))],
        [1.0],
        [],
    ],
    ids=["both-huge", "all-decades", "tiny", "constant", "one-huge", "single", "none"],
)
def test_values_of_any_size_are_drawn(tmp_path, values, objectives):
    found = analysis(write_values(tmp_path / "run", values, objectives))
    assert write_figures(found, tmp_path)
    assert write_report([found], tmp_path / "report.html").is_file()


def test_every_table_of_the_page_is_a_csv(tmp_path):
    found = analysis(write_run(tmp_path / "run", 60))
    paths = {path.stem: path for path in write_tables(found, tmp_path)}
    names = "best trials origins statuses errors failures importance replies fallbacks cost llm"
    assert set(paths) == set(names.split())
    failed = sum(not trial.complete for trial in found.report.trials)
    assert sum(int(row["trials"]) for row in read(paths["errors"])) == failed
    for parameter in SPACE.names:
        rows = [row for row in read(paths["failures"]) if row["parameter"] == parameter]
        assert sum(int(row["failed"]) for row in rows) == failed
        assert sum(int(row["trials"]) for row in rows) == len(found.report.trials)
    assert sum(float(row["share"]) for row in read(paths["importance"])) == pytest.approx(1)
    assert {row["parameter"] for row in read(paths["best"])} == set(SPACE.names)
    assert [row["origin"] for row in read(paths["origins"])] == [g.name for g in found.report.by_origin]


def test_the_reasons_of_fallbacks_are_counted(tmp_path):
    record = {"method": "centaur", "task": "toy", "seed": 0, "space": PLAIN.to_json(), "budget": {"trials": 4}}
    record["objectives"] = [{"name": "loss", "direction": "minimize", "reference": None}]
    reasons = ["duplicate", "it holds no JSON: 'a'", "duplicate", "it holds no JSON: 'b'", "duplicate"]
    with Journal(tmp_path, record) as journal:
        for i, reason in enumerate([*reasons, None]):
            origin = Origin.LLM if reason is None else Origin.FALLBACK
            note = {} if reason is None else {"reason": reason}
            journal.asked(1, [Suggestion({"x": 0.5, "n": 1}, origin, i, note)], [{"x": 0.5, "n": 1}], t=i, seconds=0.1)
            journal.finished(i, Outcome(Status.COMPLETE, (1.0,)), seconds=0.1, t=i + 0.5)
    report = load_run(tmp_path)
    assert report.fallbacks == {"duplicate": 3, "it holds no JSON": 2}
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render(report))
    text = console.export_text()
    assert "Why a classical step took the model's place" in text
    assert [line.split()[-1] for line in text.splitlines() if line.startswith(("duplicate", "it holds"))] == ["3", "2"]
    assert run_tables(RunAnalysis(report))["fallbacks"].rows == (("duplicate", 3), ("it holds no JSON", 2))
    page = write_report([RunAnalysis(report)], tmp_path / "r.html").read_text(encoding="utf-8")
    assert '<td>it holds no JSON</td><td class="num">2</td>' in page.replace("\n", "")


def test_trials_that_are_versions_of_a_file_need_no_parameters(tmp_path):
    record = {"method": "autoresearch", "task": "toy", "seed": 0, "space": PLAIN.to_json(), "budget": {"trials": 4}}
    record["objectives"] = [{"name": "loss", "direction": "minimize", "reference": None}]
    with Journal(tmp_path, record) as journal:
        for i, params in enumerate([{"x": 0.5, "n": 3}, {}, {"x": 0.1}]):
            edit = None if i == 0 else Edit(f"print({i})")
            journal.asked(1, [Suggestion(params, Origin.LLM, i, edit=edit)], [params], t=i, seconds=0.1)
            journal.finished(i, Outcome(Status.COMPLETE, (3.0 - i,)), seconds=0.1, t=i + 0.5)
    found = analysis(tmp_path)
    assert [trial.id for trial in found.configured] == [0]
    write_figures(found, tmp_path)
    write_tables(found, tmp_path)
    write_report([found], tmp_path / "report.html")
    assert main(["report", str(tmp_path)]) == 0


def test_logarithmic_axes_are_marked_inside_the_range():
    assert log_marks(Int("batch", 65536, 2097152, powers_of=2))[1][-1] == "2097152"
    places, labels = log_marks(Float("rate", 0.005, 0.2, log=True))
    assert (places, labels) == ([0.01, 0.03, 0.1], ["0.01", "0.03", "0.1"])
    assert log_marks(Float("rate", 1e-3, 1.0, log=True))[1] == ["0.001", "0.003", "0.01", "0.03", "0.1", "0.3", "1"]
    assert not is_log(Float("decay", 0, 1))


@pytest.mark.parametrize("value", [sys.float_info.max, -math.inf])
def test_squares_of_what_is_drawn_are_finite(value):
    drawn = Scale().shown(value)
    assert drawn * value > 0
    assert math.isfinite((2 * drawn) * (2 * drawn))


@pytest.mark.parametrize("name", ["convergence.png", "llm.csv", "slices.svg", "report.html"])
def test_a_report_that_cannot_be_written_says_so(tmp_path, capsys, name):
    run = write_run(tmp_path / "run", 8, evil="x")
    (run / name).mkdir()
    (run / name / "kept").touch()
    assert main(["report", str(run)]) == 1
    out = capsys.readouterr()
    assert "Trials by origin" in out.out
    assert "The report cannot be written to" in out.err
    assert "make room there, or copy the folder" in out.err
    assert "Unexpected" not in out.err
    assert not [path for path in run.iterdir() if path.name.startswith(".report")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("name", ["convergence.png", "trials.csv"])
def test_a_full_disk_is_named(tmp_path, capsys, name):
    run = write_run(tmp_path / "run", 8, evil="x")
    (run / name).symlink_to("/dev/full")
    assert main(["report", str(run)]) == 1
    assert "No space left on device" in capsys.readouterr().err
