"""The page of a run: what stands in it, that foreign text stays text, and that it needs no network."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from report_runs import EVIL, SPACE, write_run

from agentopt.cli import main
from agentopt.errors import JournalError, UsageError
from agentopt.protocols import Objective
from agentopt.report import scale
from agentopt.report.analysis import RunAnalysis
from agentopt.report.html import Notice, Picture, Table, charts, marks, page_of, write_report
from agentopt.report.html.page import MOST_RUNS, script_json
from agentopt.report.html.theme import page_json
from agentopt.report.importance import FEWEST
from agentopt.report.load import load_run
from agentopt.report.scale import Scale, value_scale
from agentopt.report.tables import write_csv, write_tables
from agentopt.report.whereabouts import whereabouts, windows_of
from agentopt.space import Choice, Float, SearchSpace
from agentopt.trial import Origin


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.text, self._in = [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._in = tag
        if tag == "script":
            self.scripts.append([dict(attrs), ""])

    def handle_endtag(self, tag):
        self._in = None

    def handle_data(self, data):
        if self._in == "script":
            self.scripts[-1][1] += data
        elif self._in != "style":
            self.text.append(data)

    def of(self, tag, **attrs):
        return [a for t, a in self.tags if t == tag and all(a.get(k.rstrip("_")) == v for k, v in attrs.items())]

    @property
    def data(self):
        return json.loads(next(text for attrs, text in self.scripts if attrs.get("id") == "data"))


def page_at(runs, out, **more):
    return write_report([RunAnalysis(load_run(run)) for run in runs], out, **more)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "one")


@pytest.fixture(scope="module")
def page(run):
    return Page(page_at([run], run / "report.html").read_text(encoding="utf-8"))


def test_a_page_has_every_part(page):
    ids = {attrs.get("id") for _, attrs in page.tags}
    parts = ("best", "s-convergence", "s-trials", "s-failures", "s-importance", "s-slices", "s-parallel")
    assert {f"r0-{part}" for part in (*parts, "s-whereabouts", "cost", "s-ledger")} <= ids
    figures = page.data["figures"]
    drawn = {attrs["data-figure"] for _, attrs in page.tags if "data-figure" in attrs}
    assert drawn == set(figures)
    assert len([name for name in figures if "slice" in name]) == len(SPACE)
    assert {figures["r0-parallel"]["data"][0]["type"], figures["r0-failures"]["data"][0]["type"]} == {
        "parcoords",
        "heatmap",
    }
    names = {trace["name"] for trace in figures["r0-convergence"]["data"]}
    assert {"baseline", "cmaes", "llm", "fallback", "best so far", "default", "oom (no value)"} <= names


def test_every_trial_and_exchange_is_there(page, run):
    report = load_run(run)
    assert len(page.of("button", data_trial=None)) > 0
    rows = [attrs["data-trial"] for tag, attrs in page.tags if tag == "button" and "data-trial" in attrs]
    assert rows == [str(trial.id) for trial in report.trials]
    data = page.data["runs"]["r0"]
    assert [e["prompt"] for e in data["exchanges"]] == [e.prompt for e in report.exchanges]
    asked = next(trial for trial in report.trials if trial.origin is Origin.LLM)
    (number,) = data["trials"][str(asked.id)]["exchanges"]
    assert data["exchanges"][number]["call"] == asked.note["calls"][0]
    assert data["exchanges"][number]["trials"] == [asked.id]


def test_foreign_text_stays_text(page):
    assert [attrs for attrs, _ in page.scripts] == [{"type": "application/json", "id": "data"}, {}, {}]
    assert not page.of("img")
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert any(EVIL in text for text in page.text)
    assert EVIL in page.data["runs"]["r0"]["exchanges"][0]["reply"]


def test_charts_get_foreign_text_escaped(page):
    """Plotly reads labels and hover texts as a kind of HTML."""
    shown = json.dumps(page.data["figures"])
    assert "window.hacked" in shown
    assert "<script" not in shown
    assert "<img" not in shown


def test_the_page_loads_nothing(page, run):
    for _, attrs in page.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert attrs.get(name, "#").startswith(("#", "data:")), attrs
    style = re.search(r"<style>(.*?)</style>", (run / "report.html").read_text(encoding="utf-8"), re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_admits_the_two_scripts_of_the_page_and_no_request(page):
    policy = next(attrs["content"] for attrs in page.of("meta") if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'; ")
    own = [text for attrs, text in page.scripts if not attrs]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in own]
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes
    assert "unsafe-inline" not in policy.partition("style-src")[0]
    assert not re.search(r"https?:", policy)


def test_json_in_a_script_cannot_end_it():
    text = script_json({"a": EVIL + "<!--", "b": "\ud800"})
    assert not re.search(r"[<>&]", text)
    assert text.isascii()
    assert json.loads(text)["a"] == EVIL + "<!--"


def test_the_same_run_gives_the_same_page(run, tmp_path):
    assert page_at([run], tmp_path / "a.html").read_bytes() == page_at([run], tmp_path / "b.html").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"a.html", "b.html"}


def test_several_runs_share_a_page(tmp_path):
    runs = [write_run(tmp_path / f"r{i}", 25, seed=i) for i in range(3)]
    page = Page(page_at(runs, tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len(page.of("details", class_="run")) == 3
    assert set(page.data["runs"]) == {"r0", "r1", "r2"}
    assert len(page.data["figures"]["overlay-0"]["data"]) == 3
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_a_great_many_runs_are_only_listed(tmp_path):
    runs = [write_run(tmp_path / f"r{i}", 2, seed=i) for i in range(MOST_RUNS + 1)]
    page = Page(page_at(runs, tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.data["runs"] == {}
    assert any("more than 12 runs" in text for text in page.text)


def test_a_comparison_comes_first(run, tmp_path):
    import plotly.graph_objects as go

    items = [
        ("Ranks", Notice(f"No control: {EVIL}", warning=True)),
        ("Ranks", go.Figure(go.Scatter(x=[1, 2], y=[3.0, float("nan")]))),
        ("Wins", Table(("method", "wins"), ((EVIL, 3), ("tpe", None)))),
        ("Wins", "In words."),
        ("Wins", Picture("<svg xmlns='http://www.w3.org/2000/svg'/>", EVIL)),
    ]
    page = Page(page_at([run], tmp_path / "r.html", comparison=items).read_text(encoding="utf-8"))
    assert "comparison-1" in page.data["figures"]
    assert page.data["figures"]["comparison-1"]["layout"]["template"]["layout"]["font"]["color"] == "#010203"
    assert len(page.of("p", class_="warning", role="alert")) == 1
    assert [a["src"][:26] for a in page.of("img")] == ["data:image/svg+xml;base64,"]
    assert len(Page(write_report([], tmp_path / "c.html", comparison=items).read_text(encoding="utf-8")).scripts) == 3


def test_a_report_of_nothing_is_refused(tmp_path):
    with pytest.raises(UsageError, match="needs a run"):
        write_report([], tmp_path / "r.html")
    with pytest.raises(JournalError, match="is not a run folder"):
        page_at([tmp_path], tmp_path / "r.html")


@pytest.mark.parametrize("trials", [0, 1, 6])
def test_a_run_of_a_few_trials_has_a_page(tmp_path, trials):
    page = Page(page_at([write_run(tmp_path / "run", trials)], tmp_path / "r.html").read_text(encoding="utf-8"))
    assert any("Too few trials" in text for text in page.text)
    assert "r0-importance" not in page.data["figures"]


def test_two_objectives_have_a_front(tmp_path):
    both = (Objective("loss"), Objective("gain", "maximize"))
    run = write_run(tmp_path / "run", 40, objectives=both)
    assert "r0-front" in Page(page_at([run], tmp_path / "r.html").read_text(encoding="utf-8")).data["figures"]


def test_importance_finds_what_matters(tmp_path):
    report = load_run(write_run(tmp_path / "run", 200))
    shares = RunAnalysis(report).importance
    assert next(iter(shares)) == "decay"
    assert sum(shares.values()) == pytest.approx(1)
    few = load_run(write_run(tmp_path / "few", FEWEST // 2))
    assert "Too few trials" in RunAnalysis(few).importance


def test_the_ellipses_hold_the_points_of_their_generations(tmp_path):
    report = load_run(write_run(tmp_path / "run", 200))
    own = [trial for trial in report.trials if trial.origin is Origin.CMAES]
    windows = windows_of(own, SPACE["decay"], SPACE["width"])
    assert len(windows) == 4
    assert [w.first for w in windows[1:]] == [w.last + 1 for w in windows[:-1]]
    first = [t for t in own if t.note["generation"] <= windows[0].last]
    points = [[SPACE["decay"].encode(t.params["decay"]), SPACE["width"].encode(t.params["width"])] for t in first]
    assert sum(windows[0].holds(point) for point in points) >= 0.8 * len(points)
    assert all(windows[0].holds(0.999 * point + 0.001 * windows[0].mean) for point in windows[0].ellipse())
    assert not any(windows[0].holds(1.001 * point - 0.001 * windows[0].mean) for point in windows[0].ellipse())
    went = whereabouts(report.trials, SPACE, SPACE.names, "as they come")
    assert "rate and decay, as they come" in went.caption
    assert re.search(r"\d+ of \d+ points of the model lie in the ellipse", went.caption)


def test_without_a_model_or_ordered_parameters_nothing_is_said_of_where_it_went(tmp_path):
    plain = SearchSpace((Choice("a", (1, 2)), Choice("b", (1, 2)), Float("x", 0, 1)))
    report = load_run(write_run(tmp_path / "run", 10, space=plain))
    assert whereabouts(report.trials, plain, plain.names, "") is None


def test_tables_are_written_beside_the_page(run, tmp_path):
    paths = {path.stem: path for path in write_tables(RunAnalysis(load_run(run)), tmp_path)}
    trials, ledger = (
        list(csv.DictReader(paths[name].open(encoding="utf-8", newline=""))) for name in ("trials", "llm")
    )
    report = load_run(run)
    assert [int(row["trial"]) for row in trials] == [trial.id for trial in report.trials]
    assert float(trials[0]["values_loss"]) == report.trials[0].values[0]
    assert trials[0]["params_kind"] == str(report.trials[0].params["kind"])
    assert trials[5]["values_loss"] == ""
    assert [int(row["prompt_tokens"]) for row in ledger] == [e.prompt_tokens for e in report.exchanges]
    assert ledger[0]["trials"] == "3"


def test_the_command_writes_page_figures_and_tables(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        write_run(tmp_path / "runs" / name, 12, evil="x")
    assert main(["report", "a"]) == 0
    files = {path.name for path in (tmp_path / "runs" / "a").iterdir()}
    assert {"report.html", "convergence.png", "convergence.svg", "trials.csv", "llm.csv"} <= files
    assert "runs/a/report.html" in capsys.readouterr().out
    assert main(["report", "runs"]) == 0
    assert "\nruns/report.html" in capsys.readouterr().out
    assert page_of([tmp_path / "runs" / "a", tmp_path / "other"]) == tmp_path.resolve() / "report.html"


def test_a_spreadsheet_runs_no_formula(tmp_path):
    path = write_csv(Table(("=a",), (("=1+1",), ("@x",), (-3.5,), ("plain",), (None,))), tmp_path / "t.csv")
    assert path.read_text().splitlines() == ["'=a", "'=1+1", "'@x", "-3.5", "plain", '""']


def test_values_off_the_scale_stand_at_its_edge(tmp_path, monkeypatch):
    report = load_run(write_run(tmp_path / "run", 60))
    assert value_scale(report).beyond == 0
    values = sorted(trial.values[0] for trial in report.trials if trial.complete)
    cut = Scale(limits=(0.0, values[-4]), beyond=3)
    for module in (charts, marks, scale):
        monkeypatch.setattr(module, "value_scale", lambda _: cut)
    figure = page_json(charts.convergence(report))
    drawn = sorted(y for trace in figure["data"] if trace.get("customdata") for y in trace["y"] if y)
    assert drawn == [*values[:-3], *[values[-4]] * 3]
    assert "3 worse, at the edge" in figure["layout"]["annotations"][0]["text"]
