"""What became of the candidates of a run and how predictions did: the numbers, the words, the page and the files."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from agentopt.cli import main
from agentopt.journal import Journal
from agentopt.protocols import Objective
from agentopt.report.analysis import RunAnalysis
from agentopt.report.candidates import FEWEST, candidates_of, forecast_texts, pool_text
from agentopt.report.comparison.gather import comparison_of_reports
from agentopt.report.comparison.tables import cells_table
from agentopt.report.figures import write_figures
from agentopt.report.html import write_report
from agentopt.report.html.run_part import run_part
from agentopt.report.load import load_run
from agentopt.report.scale import forecast_scale
from agentopt.report.tables import run_tables, write_tables
from agentopt.report.text import render
from agentopt.space import Float, SearchSpace
from agentopt.trial import Origin, Outcome, Status, Suggestion

SPACE = SearchSpace((Float("x", 0, 1),))
LOSS, GAIN = Objective("loss"), Objective("gain", "maximize")
POOL = {"asked": 20, "accepted": 12, "outside": 5, "duplicate": 2, "missing": 1}
OBSERVED = [1.0, 2.0, 3.0, 4.0, 5.0, 11.0]


def write(folder, rows, objectives=(LOSS,), surrogate="reply"):
    """Writes a run of one turn: pairs of values, None for a failure, and notes; the first one notes the pool."""
    record = {"method": "hollm", "task": "toy", "seed": 0, "space": SPACE.to_json(), "workers": 1}
    record |= {"objectives": [asdict(o) for o in objectives], "budget": {"trials": len(rows)}}
    record["options"] = {"sampler": "llm", "surrogate": surrogate}
    with Journal(folder, record) as journal:
        for i, (values, noted) in enumerate(rows):
            note = {"turn": 1, **({"pool": POOL} if i == 0 else {}), **noted}
            params = {"x": (i + 0.5) / len(rows)}
            journal.asked(1, [Suggestion(params, Origin.LLM, i, note)], [params], t=i, seconds=0.1)
            failed = Outcome(Status.FAILED, error="no")
            journal.finished(i, failed if values is None else Outcome(Status.COMPLETE, values), seconds=0.1, t=i + 0.5)
        journal.stopped("trials", t=len(rows))
    return load_run(folder)


def predicted(pairs, key="predicted"):
    return [((value,), {key: guess}) for guess, value in pairs]


def found(folder, pairs, objective=LOSS):
    """Returns the forecast of a run with these predicted and observed values."""
    (forecast,) = candidates_of(write(folder, predicted(pairs), (objective,))).forecasts
    return forecast


def said(report):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(render(report))
    return console.export_text()


def test_counts_are_summed_over_turns_and_say_how_many_were_run(tmp_path):
    rows = [
        ((5.0,), {}),
        ((4.0,), {}),
        (None, {"turn": 2, "pool": {"asked": 20, "accepted": 20}}),
        ((3.0,), {"turn": 3, "predicted": 1.0}),  # its pool is that of a trial that has not ended
    ]
    report = write(tmp_path, rows)
    candidates = candidates_of(report)
    assert candidates.counts == {"asked": 40, "accepted": 32, "outside": 5, "duplicate": 2, "missing": 1}
    assert (candidates.run, candidates.share) == (3, 0.8)
    assert pool_text(candidates) == (
        "Candidates: 40 asked for, 32 accepted (80 %), 3 of these run;"
        " 5 outside of their cell, 2 known or there twice, 1 missing."
    )
    rows = run_tables(RunAnalysis(report))["candidates"].rows
    assert rows[0] == ("asked", 40, 1.0)
    assert rows[-1] == ("run", 3, 3 / 40)


def test_fallbacks_and_initial_trials_are_no_candidates_that_were_run(tmp_path):
    record = {"method": "hollm", "task": "toy", "seed": 0, "space": SPACE.to_json(), "budget": {"trials": 3}}
    record["objectives"] = [asdict(LOSS)]
    kinds = [(Origin.RANDOM, {"turn": 0}), (Origin.FALLBACK, {"turn": 1, "pool": POOL}), (Origin.CONTROL, {"turn": 1})]
    with Journal(tmp_path, record) as journal:
        for i, (origin, note) in enumerate(kinds):
            journal.asked(1, [Suggestion({"x": 0.5}, origin, i, note)], [{"x": 0.5}], t=i, seconds=0.1)
            journal.finished(i, Outcome(Status.COMPLETE, (1.0,)), seconds=0.1, t=i + 0.5)
    assert candidates_of(load_run(tmp_path)).run == 1


def test_the_correlation_is_that_of_ranks_and_errors_are_in_ranges(tmp_path):
    guesses = [0.0, 3.0, 2.0, 9.0, 4.0, 6.0]
    forecast = found(tmp_path, zip(guesses, OBSERVED, strict=True))
    assert forecast.correlation == pytest.approx(stats.spearmanr(guesses, OBSERVED).statistic)
    # Observed less predicted, over a range of 10: 0.1 -0.1 0.1 -0.5 0.1 0.5.
    assert forecast.error == pytest.approx(0.1)
    assert forecast.optimism == pytest.approx(0.1)


def test_a_higher_prediction_is_the_optimistic_one_where_values_are_maximised(tmp_path):
    pairs = [(value + 2.5, value) for value in OBSERVED]
    low, high = (found(tmp_path / o.name, pairs, o) for o in (LOSS, GAIN))
    assert low.correlation == high.correlation == pytest.approx(1)
    assert (low.optimism, high.optimism) == (pytest.approx(-0.25), pytest.approx(0.25))
    candidates = candidates_of(load_run(tmp_path / "gain"))
    (line,) = forecast_texts(candidates)
    assert line.startswith("Predictions of gain by the model: rank correlation 1.00 with what was observed (6 trials)")
    assert line.endswith("; median error 25 % of the observed range, 25 % too optimistic.")


def test_several_objectives_have_a_forecast_each(tmp_path):
    rows = [((v, 2 * v), {"predicted": [v, -v]}) for v in OBSERVED]
    report = write(tmp_path, rows, (LOSS, GAIN))
    forecasts = candidates_of(report).forecasts
    assert [f.objective for f in forecasts] == [LOSS, GAIN]
    assert [f.correlation for f in forecasts] == pytest.approx([1, -1])
    assert candidates_of(report).correlation == pytest.approx(0)
    assert [row[2:] for row in run_tables(RunAnalysis(report))["predictions"].rows[5:7]] == [
        ("loss", 11.0, 11.0),
        ("gain", -1.0, 2.0),
    ]


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        ([(1, 1.0)], "only 1 complete trial has one, too few to tell (5 are needed)"),
        ([(i, float(i)) for i in range(FEWEST - 1)], "only 4 complete trials have one, too few to tell"),
        ([(7, value) for value in OBSERVED], "all of the 6 are the same"),
        ([(value, 7.0) for value in OBSERVED], "all of the 6 observed values are the same"),
    ],
)
def test_what_cannot_be_told_is_said_in_words(tmp_path, pairs, why):
    forecast = found(tmp_path, pairs)
    assert why in forecast.correlation
    report = load_run(tmp_path)
    assert f"Predictions of loss by the model: {why}" in said(report)
    assert "nan" not in said(report)
    (row,) = run_tables(RunAnalysis(report))["prediction-scores"].rows
    assert (row[4], row[5]) == (None, forecast.correlation)
    assert write_figures(RunAnalysis(report), tmp_path)


def test_only_finite_predictions_of_complete_trials_count(tmp_path):
    notes = [None, "3", True, [1.0], [1.0, 2.0], {}, [], 10**400]
    rows = [((1.0,), {"predicted": note}) for note in notes]
    rows += [((2.0,), {}), (None, {"predicted": 1.0})]
    forecasts = candidates_of(write(tmp_path, rows)).forecasts
    assert [[pair.predicted for pair in f.pairs] for f in forecasts] == [[1.0]]


def test_a_pool_of_another_shape_is_passed_over(tmp_path):
    assert candidates_of(write(tmp_path / "a", [((1.0,), {"pool": [1, 2]}), ((2.0,), {"pool": "many"})])) is None
    odd = candidates_of(write(tmp_path / "b", [((1.0,), {"pool": {"asked": 3, "accepted": "two"}, "turn": [1]})]))
    assert (odd.counts["asked"], odd.counts["accepted"], odd.run) == (3, 0, 0)


@pytest.mark.parametrize("objective", [LOSS, GAIN])
def test_probabilities_are_judged_by_the_area_under_the_curve(tmp_path, objective):
    losses = np.random.default_rng(0).permutation(20).astype(float)
    chances = np.round(np.random.default_rng(1).random(20), 1)
    rows = predicted(zip(chances.tolist(), [objective.loss(v) for v in losses], strict=True), "probability")
    report = write(tmp_path, rows, (objective,), "labels")
    found = candidates_of(report).chances
    # The value at place 0.2 * 19, rounded down: losses 0 to 3 are the best fifth.
    assert found.edge == objective.loss(3.0)
    best, others = chances[losses <= 3], chances[losses > 3]
    pairs = [(a > b) + 0.5 * (a == b) for a in best for b in others]
    assert found.area == pytest.approx(np.mean(pairs))
    assert f"by the model: area under the ROC curve {found.area:.2f} (20 trials); 0.5 is chance." in said(report)
    assert not candidates_of(report).forecasts
    assert candidates_of(report).correlation is None


def test_an_area_needs_trials_of_both_kinds(tmp_path):
    rows = [((float(i),), {}) for i in range(5)]
    rows += [((20.0 + i,), {"probability": i / 10}) for i in range(5)]
    assert "none of the 5 trials" in candidates_of(write(tmp_path / "none", rows)).chances.area
    rows = [((9.0,), {"probability": i / 10}) for i in range(5)]
    assert "all of the 5 trials" in candidates_of(write(tmp_path / "all", rows)).chances.area


@pytest.mark.parametrize("observed", [OBSERVED, [1e-3, 0.1, 1.0, 10.0, 50.0]])
def test_a_wild_prediction_stands_at_the_edge(observed):
    calm, high, low = (forecast_scale(observed, [2.0, more], LOSS) for more in (3.0, 1e100, -1e100))
    assert (calm.beyond, high.beyond, low.beyond) == (0, 1, 1)
    assert calm.log is high.log is low.log is (min(observed) < 0.01)

    def width(scale):
        first, last = np.log10(scale.limits) if scale.log else scale.limits
        return last - first

    # The axis grows by as much as the observed values span, and no more.
    assert [width(high), width(low)] == pytest.approx([2 * width(calm)] * 2)
    assert high.shown(1e100) == high.limits[1] > max(observed)
    assert low.shown(-1e100) == low.limits[0] < min(observed)


@pytest.mark.parametrize(
    "pairs",
    [
        [(1e308, -1e308), (-1e308, 1e308), (3.0, 5.0), (0.0, 1.0), (2.0, 1.5)],
        [(5e-324, 0.0), (0.0, 5e-324), (1e-300, 1e-300), (1.0, 0.0), (-1.0, 0.0)],
        [(1.7e308, 1.7e308)] * 6,
        [(-1.0, 1e-140), (0.0, 1e140), (1e140, 1.0), (1e200, 2.0), (1.0, 3.0)],
        [(2.0, 2.0)],
    ],
    ids=["both-huge", "tiny", "constant", "all-decades", "single"],
)
def test_predictions_of_any_size_are_shown(tmp_path, pairs):
    report = write(tmp_path / "run", predicted(pairs))
    analysis = RunAnalysis(report)
    for forecast in analysis.candidates.forecasts:
        assert all(math.isfinite(v) for v in (forecast.error, forecast.optimism) if v is not None)
    assert (tmp_path / "predictions.png") in write_figures(analysis, tmp_path)
    page = write_report([analysis], tmp_path / "report.html").read_text(encoding="utf-8")
    figure = json.loads(page.partition('id="data">')[2].partition("</script>")[0])["figures"]["r0-predictions-0"]
    numbers = [v for trace in figure["data"] for v in (*trace["x"], *trace["y"])]
    numbers += figure["layout"]["xaxis"]["range"]
    assert all(isinstance(v, int | float) and math.isfinite(v) for v in numbers)
    assert said(report)


@pytest.mark.parametrize("surrogate", ["reply", "labels"])
def test_the_page_and_the_files_have_the_same(tmp_path, surrogate):
    key = "probability" if surrogate == "labels" else "predicted"
    rows = predicted([(value / 20, value) for value in OBSERVED], key)
    analysis = RunAnalysis(write(tmp_path / "run", rows, surrogate=surrogate))
    part = run_part("r0", analysis)
    assert list(part.candidates.figures) == ["predictions-0"]
    figure = part.candidates.figures["predictions-0"].to_plotly_json()
    points = figure["data"][0]
    assert list(points["x"]) == [value / 20 for value in OBSERVED]
    assert list(points["y"]) == OBSERVED
    assert list(points["customdata"]) == list(range(6))
    assert points["hovertext"][1].endswith("<br>predicted 0.1")
    page = write_report([analysis], tmp_path / "r.html").read_text(encoding="utf-8")
    assert 'id="r0-s-candidates"' in page
    assert part.candidates.forecasts[0] in page
    assert {"predictions.png", "predictions.svg"} <= {path.name for path in write_figures(analysis, tmp_path)}
    paths = {path.stem: path for path in write_tables(analysis, tmp_path)}
    assert {"candidates", "predictions", "prediction-scores"} <= set(paths)
    rows = list(csv.DictReader(paths["predictions"].open(encoding="utf-8", newline="")))
    assert [float(row["predicted"]) for row in rows] == [value / 20 for value in OBSERVED]


def test_a_run_without_candidates_shows_nothing_of_them(tmp_path):
    record = {"method": "tpe", "task": "toy", "seed": 0, "space": SPACE.to_json(), "budget": {"trials": 1}}
    record |= {"objectives": [asdict(LOSS)]}
    with Journal(tmp_path, record) as journal:
        journal.asked(1, [Suggestion({"x": 0.5}, Origin.TPE, 0)], [{"x": 0.5}], t=0, seconds=0.1)
        journal.finished(0, Outcome(Status.COMPLETE, (1.0,)), seconds=0.1, t=0.5)
    analysis = RunAnalysis(load_run(tmp_path))
    assert analysis.candidates is None
    assert "Candidates" not in said(analysis.report)
    assert "Candidates and predictions" not in write_report([analysis], tmp_path / "r.html").read_text(encoding="utf-8")
    assert not {"candidates", "predictions", "prediction-scores"} & set(run_tables(analysis))


def run_hollm(folder, name, *options, model=True):
    asked = ["--model", "scripted:agentopt.testing.models:oracle"] if model else []
    args = ["run", "hollm", "--task", "hartmann6", "--trials", "17", "--seed", "1", "--name", name, *asked]
    assert main([*args, "--runs-dir", str(folder), *options]) == 0
    return folder / name


def test_the_report_of_hollm_says_what_its_candidates_and_predictions_were_worth(tmp_path, capsys):
    run = run_hollm(tmp_path, "one")
    assert "Candidates: " in capsys.readouterr().out
    candidates = candidates_of(load_run(run))
    assert candidates.run == 12
    assert sum(candidates.counts.values()) == 2 * candidates.counts["asked"] > 0
    assert main(["report", str(run)]) == 0
    out = capsys.readouterr().out
    assert f"by the model: rank correlation {candidates.correlation:.2f} with what was observed (12 trials)" in out
    files = {path.name for path in run.iterdir()}
    assert {"predictions.png", "predictions.svg", "predictions.csv", "candidates.csv", "prediction-scores.csv"} <= files
    assert "Candidates and predictions" in (run / "report.html").read_text(encoding="utf-8")


def test_without_a_model_nothing_is_predicted_and_nothing_is_said_of_it(tmp_path, capsys):
    run = run_hollm(tmp_path, "uniform", "-o", "sampler=uniform", model=False)
    assert main(["report", str(run)]) == 0
    out = capsys.readouterr().out
    assert "Candidates: " in out
    assert "Predictions of" not in out
    assert "by the model" not in (run / "report.html").read_text(encoding="utf-8")
    assert not list(run.glob("prediction*"))
    nearest = run_hollm(tmp_path, "near", "-o", "sampler=uniform", "-o", "surrogate=neighbours", model=False)
    assert "Predictions of value by the nearest trials: " in said(load_run(nearest))


def test_the_runs_of_a_comparison_have_their_share_and_correlation(tmp_path):
    first = write(tmp_path / "a", predicted([(v, v) for v in OBSERVED]))
    second = write(tmp_path / "b", [((1.0,), {"pool": None})], surrogate="none")
    table = cells_table(comparison_of_reports([first, second]))
    assert table.columns[-2:] == ("accepted_share", "prediction_correlation")
    assert [row[-2:] for row in table.rows] == [(0.6, pytest.approx(1)), (None, None)]
    assert cells_table(comparison_of_reports([second])).columns[-1] == "run"
