"""Like with like: the evaluation seeds of code that is tuned and code that is edited, and what is claimed of both."""

from __future__ import annotations

import io

import pytest
from code_report_runs import Toy, write_code_run
from rich.console import Console

from agentopt.build import resume_run
from agentopt.journal import FILE
from agentopt.log import Log, read_log
from agentopt.report.comparison.analysis import Analysis
from agentopt.report.comparison.cells import Measure
from agentopt.report.comparison.gather import comparison_of_reports
from agentopt.report.comparison.text import render_comparison
from agentopt.report.load import load_run
from agentopt.study import trial_seed

SEED = 0
"""That of the toy's runs."""


def seed_part(run):
    """Returns what the evaluation seed added to the value of each trial, by trial."""
    report = load_run(run)
    exact = {t.id: abs(t.params["DEPTH"] - 6) + abs(t.params["RATE"] - 0.1) for t in report.trials}
    return [round((trial.values[0] - exact[trial.id]) * 1e5) for trial in report.trials]


def rewrite(run, records):
    (run / FILE).unlink()
    with Log(run / FILE) as log:
        for record in records:
            log.append(record)


def test_configurations_of_code_share_the_seed_that_edits_have(tmp_path):
    tuned = write_code_run(tmp_path / "tuned", 5, method="random")
    assert seed_part(tuned) == [trial_seed(SEED, 0) % 1000] * 5
    assert load_run(tuned).header["seeds"] == "shared"
    edited = load_run(write_code_run(tmp_path / "edited", 3, sampler="incumbent"))
    assert [None if t.edit is None else t.edit.replicate for t in edited.trials] == [None, 1, 0]


def test_a_run_of_before_resumes_with_a_seed_for_each_trial(tmp_path):
    run = write_code_run(tmp_path / "run", 5, method="random")
    records = read_log(run / FILE)[0]
    header = {key: value for key, value in records[0].items() if key != "seeds"}
    rewrite(run, [header])
    with resume_run(run, task=Toy(run)) as opened:
        opened.execute()
    assert seed_part(run) == [trial_seed(SEED, number) % 1000 for number in range(5)]
    assert Measure.OWN in {cell.measure for cell in comparison_of_reports([load_run(run)]).cells}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """The records of one trial of two methods that tune and one that keeps or discards."""
    folder, found = tmp_path_factory.mktemp("records"), {}
    for method in ("random", "sobol", "autoresearch"):
        options = {"sampler": "incumbent", "noise_floor": 0.0} if method == "autoresearch" else {}
        found[method] = read_log(write_code_run(folder / method, 1, method=method, **options) / FILE)[0]
    return found


def comparison(folder, records, rule=lambda seed: "shared"):
    """Returns the comparison of runs with twelve seeds; `sobol` always ends worse than `random`, the third worst."""
    runs = []
    for seed in range(12):
        for value, (method, told) in enumerate(records.items()):
            run = folder / f"{method}{seed}"
            run.mkdir()
            with Log(run / FILE) as log:
                for record in told:
                    if record["event"] == "run":
                        log.append({**record, "seed": seed, "seeds": rule(seed)})
                    elif record["event"] == "finished":
                        log.append({**record, "outcome": {**record["outcome"], "values": [float(value + seed)]}})
                    else:
                        log.append(record)
            runs.append(load_run(run))
    return comparison_of_reports(runs)


def test_what_is_unlike_is_not_claimed(records, tmp_path):
    analysis = Analysis(comparison(tmp_path, records))
    claims = {(test.a, test.b): (test.claim, test.alike) for test in analysis.tests}
    assert claims == {
        ("random", "sobol"): ("a better", True),
        ("random", "autoresearch"): ("none", False),
        ("sobol", "autoresearch"): ("none", False),
    }
    assert all(test.p_holm < 0.05 for test in analysis.tests)
    (grave,) = (caveat.text for caveat in analysis.caveats if caveat.grave)
    assert "of random, sobol it is the best of single values, all with one seed" in grave
    assert "of autoresearch it is the mean of the version that it kept" in grave
    assert "agentopt finalise RUN" in grave
    console = Console(file=io.StringIO(), width=220)
    console.print(render_comparison(analysis))
    text = console.file.getvalue()
    assert "random is better than sobol" in text
    assert "better than autoresearch" not in text
    assert "none: not alike" in text


def test_runs_of_before_are_not_put_beside_those_of_now(records, tmp_path):
    tuned = {method: told for method, told in records.items() if method != "autoresearch"}
    mixed = Analysis(comparison(tmp_path, tuned, lambda seed: "shared" if seed % 2 else "trial"))
    assert {test.claim for test in mixed.tests} == {"none"}
    assert "each with a seed of its own" in mixed.caveats[0].text
