"""The page of a run in a real browser: sorted, filtered, opened, dressed in the other theme, and without a request."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict

import numpy as np
import pytest
from code_report_runs import LONG, write_code_run
from report_runs import EVIL, SPACE, write_run

from agentopt.journal import Journal
from agentopt.protocols import Objective
from agentopt.report.analysis import RunAnalysis
from agentopt.report.html import write_report
from agentopt.report.load import load_run
from agentopt.trial import Origin, Outcome, Status, Suggestion

BROWSER = os.environ.get("CHROME_BIN") or shutil.which("chromium")
DRIVER = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--enable-unsafe-swiftshader",
    "--window-size=1280,900",
)
pytestmark = [
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs the packages chromium and chromium-driver"),
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("browser"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "one", 60)


@pytest.fixture(scope="module")
def report(run):
    return load_run(run)


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    found.set_script_timeout(60)
    yield found
    found.quit()


@pytest.fixture(scope="module")
def page(run, report):
    """The address of the run's page."""
    return write_report([RunAnalysis(report)], run / "report.html").as_uri()


@pytest.fixture
def window(started):
    """An empty page on a light desktop; afterwards no error was said and no request was made."""
    look(started, width=1280, theme="light")
    started.get("about:blank")
    logs(started, "browser")
    logs(started, "performance")
    yield started
    assert not [entry for entry in logs(started, "browser") if entry["level"] == "SEVERE"]
    assert not foreign_requests(started)
    assert started.execute_script("return window.hacked") is None
    started.execute_script("localStorage.clear()")


@pytest.fixture
def browser(window, page):
    """A fresh look at the run's page."""
    window.get(page)
    return window


def look(browser, *, width, theme):
    # Without smooth scrolling, for what moves cannot be clicked.
    features = [
        {"name": "prefers-color-scheme", "value": theme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def logs(browser, kind):
    return browser.get_log(kind)


def foreign_requests(browser):
    """Returns what the page asked for beside itself, by the browser's own account."""
    asked = browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    for entry in logs(browser, "performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    return [url for url in asked if not url.startswith(("data:", "blob:", "about:")) and "/report.html" not in url]


def find(browser, selector):
    return browser.find_element("css selector", selector)


def shown(browser, column=0, table="[data-kind=trials]"):
    """Returns the texts of a column's cells in the rows that are to be seen, from top to bottom."""
    script = (
        "return [...document.querySelector(arguments[0]).querySelector('tbody').rows].filter((row) => !row.hidden)"
        ".map((row) => row.cells[arguments[1]].textContent.trim())"
    )
    return browser.execute_script(script, table, column)


def until(browser, script, *arguments):
    end = time.monotonic() + 20
    while not (value := browser.execute_script(f"return {script}", *arguments)):
        assert time.monotonic() < end, script
        time.sleep(0.05)
    return value


def texts(browser, selector):
    """Returns the texts of elements; what is no Unicode is replaced, for the driver refuses it."""
    script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent.toWellFormed())"
    return browser.execute_script(script, selector)


def draw_all(browser, charts=".plot"):
    script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.dataset.figure)"
    names = browser.execute_script(script, charts)
    for name in names:
        element = find(browser, f"[data-figure='{name}']")
        browser.execute_script("arguments[0].scrollIntoView()", element)
        until(browser, "'drawn' in arguments[0].dataset", element)
    return names


def choose(browser, name, text):
    from selenium.webdriver.support.ui import Select

    Select(find(browser, f"[data-kind=trials] select[data-filter={name}]")).select_by_visible_text(text)


def test_every_chart_is_drawn(browser):
    names = draw_all(browser)
    assert len(names) >= 12
    assert browser.execute_script("return document.querySelectorAll('.plot .main-svg').length") >= len(names)
    assert "WebGL" not in find(browser, "main").text


def test_a_column_is_sorted_both_ways(browser, report):
    head = find(browser, "[data-kind=trials] th:nth-child(4)")
    button = head.find_element("css selector", "button")
    assert button.text == "loss"
    button.click()
    best = [trial.id for trial in sorted((t for t in report.trials if t.complete), key=lambda t: t.values[0])]
    assert [int(text) for text in shown(browser)][: len(best)] == best
    assert head.get_attribute("aria-sort") == "ascending"
    button.click()
    assert [int(text) for text in shown(browser)][: len(best)] == best[::-1]
    assert head.get_attribute("aria-sort") == "descending"
    # Trials without a value come last both ways.
    assert set(shown(browser, 3)[len(best) :]) == {"-"}


def test_the_keyboard_sorts_too(browser):
    button = find(browser, "[data-kind=trials] th:nth-child(2) button")
    browser.execute_script("arguments[0].focus()", button)
    button.send_keys(" ")
    assert shown(browser, 1) == sorted(shown(browser, 1))


def test_rows_are_filtered(browser, report):
    choose(browser, "status", "oom")
    oom = [trial.id for trial in report.trials if trial.outcome.status.value == "oom"]
    assert [int(text) for text in shown(browser)] == oom
    output = find(browser, "[data-kind=trials] output")
    assert output.text == f"{len(oom)} of {len(report.trials)}"
    choose(browser, "status", "all")
    choose(browser, "origin", "llm")
    assert set(shown(browser, 1)) == {"llm"}
    search = find(browser, "[data-kind=trials] input")
    search.send_keys("COMPLETE plain")
    fits = [t for t in report.trials if t.origin is Origin.LLM and t.complete and t.params["kind"] == "plain"]
    assert [int(text) for text in shown(browser)] == [trial.id for trial in fits]
    search.clear()
    search.send_keys("nothing like this")
    assert shown(browser) == []


def test_an_exchange_is_one_click_away(browser, report):
    find(browser, "[data-kind=trials] [data-exchange]").click()
    dialog = find(browser, "#dialog")
    assert find(browser, "#dialog-title").text == "LLM exchange #0"
    reply, prompt = texts(browser, "#dialog pre")
    assert prompt == report.exchanges[0].prompt
    assert reply.startswith(f"reply 0 {EVIL}")
    assert browser.execute_script("return document.querySelectorAll('#dialog img, #dialog script').length") == 0
    find(browser, "#next").click()
    assert find(browser, "#dialog-title").text == "LLM exchange #1"
    find(browser, "#dialog-body").send_keys("\ue00c")
    assert not dialog.is_displayed()


def test_a_trial_tells_all_and_leads_to_its_exchange(browser, report):
    asked = next(trial for trial in report.trials if trial.origin is Origin.FALLBACK)
    find(browser, f"[data-trial='{asked.id}']").click()
    assert find(browser, "#dialog-title").text == f"Trial {asked.id}"
    body = find(browser, "#dialog-body")
    assert EVIL in texts(browser, "#dialog-body")[0]
    body.find_element("css selector", ".open").click()
    assert find(browser, "#dialog-title").text == f"LLM exchange #{asked.note['calls'][0]}"
    find(browser, "#close").click()


def test_every_dialog_is_harmless(browser):
    for kind in ("trial", "exchange"):
        find(browser, f"[data-{kind}]").click()
        while find(browser, "#next").is_enabled():
            browser.execute_script("document.querySelector('#next').click()")
        find(browser, "#close").click()


def test_a_point_of_a_chart_opens_its_trial(browser):
    draw_all(browser)
    script = (
        "const plot = document.querySelector('[data-figure=r0-convergence]');"
        "plot.emit('plotly_click', { points: [{ customdata: 12 }] })"
    )
    browser.execute_script(script)
    assert find(browser, "#dialog-title").text == "Trial 12"


@pytest.mark.parametrize("system", ["light", "dark"])
def test_the_theme_follows_the_system_until_it_is_chosen(browser, system):
    look(browser, width=1280, theme=system)
    browser.refresh()
    other = {"light": "dark", "dark": "light"}[system]
    dark = {"light": False, "dark": True}
    assert (luminance(browser, "body") < 0.5) is dark[system]
    plot = until(browser, "document.querySelector('[data-figure=r0-convergence][data-drawn]')")
    browser.execute_script("arguments[0].scrollIntoView()", plot)
    assert (ink_of(browser) > 0.5) is dark[system]
    find(browser, "#theme").click()
    assert (luminance(browser, "body") < 0.5) is dark[other]
    assert (ink_of(browser) > 0.5) is dark[other]
    browser.refresh()
    assert browser.execute_script("return document.documentElement.dataset.theme") == other


def colour_of(text):
    red, green, blue = (int(part) for part in text.partition("(")[2].rstrip(")").split(",")[:3])
    return (0.3 * red + 0.6 * green + 0.1 * blue) / 255


def luminance(browser, selector):
    return colour_of(
        browser.execute_script(f"return getComputedStyle(document.querySelector('{selector}')).backgroundColor")
    )


def ink_of(browser):
    """Returns how light the text of a chart is."""
    selector = "[data-figure=r0-convergence] .xtick text"
    until(browser, f"document.querySelector('{selector}')")
    return colour_of(browser.execute_script(f"return getComputedStyle(document.querySelector('{selector}')).fill"))


def test_a_phone_shows_it_without_scrolling_sideways(browser):
    look(browser, width=390, theme="light")
    browser.refresh()
    draw_all(browser)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    assert find(browser, "#theme").is_displayed()


def test_several_runs_are_folded_away_until_they_are_opened(window, run):
    other = write_run(run.parent / "two", 25, seed=2)
    window.get(write_report([RunAnalysis(load_run(r)) for r in (run, other)], run.parent / "report.html").as_uri())
    assert not find(window, "#r1-best").is_displayed()
    find(window, "a[href='#r1']").click()
    until(window, "document.getElementById('r1').open")
    assert find(window, "#r1-best").is_displayed()
    find(window, "#r0 summary").click()
    until(window, "!document.getElementById('r1').open")
    (other / "report.html").unlink(missing_ok=True)


@pytest.fixture
def code_page(window, run):
    """The page of a code agent's run, in place of the other one."""
    folder = run.parent / "code"
    if not folder.exists():
        write_code_run(folder)
    window.get(write_report([RunAnalysis(load_run(folder))], folder / "report.html").as_uri())
    return window


EXPERIMENTS = "[data-kind=experiments]"


def test_experiments_are_sorted_and_filtered(code_page):
    from selenium.webdriver.support.ui import Select

    verdict = Select(find(code_page, f"{EXPERIMENTS} [data-filter=verdict]"))
    verdict.select_by_visible_text("crash")
    assert shown(code_page, 0, EXPERIMENTS) == ["5", "7"]
    assert shown(code_page, 9, EXPERIMENTS) == ["failed", "invalid"]
    verdict.select_by_visible_text("keep")
    find(code_page, f"{EXPERIMENTS} th:nth-child(3) button").click()
    assert shown(code_page, 0, EXPERIMENTS) == ["8", "6", "3", "2", "0"]


def test_what_an_experiment_changed_is_one_click_away(code_page):
    find(code_page, f"{EXPERIMENTS} [data-trial='6']").click()
    assert find(code_page, "#dialog-title").text == "Trial 6"
    assert texts(code_page, "#dialog .patch .del") == ["-DEPTH = 4\n", "-    return boom\n"]
    assert texts(code_page, "#dialog .patch .add") == ["+DEPTH = 5\n", "+    return DEPTH\n"]
    light = papers(code_page)
    links = code_page.find_elements("css selector", "#dialog-body .open")
    assert [link.text for link in links] == ["trial 5", "#4"]
    links[0].click()
    assert find(code_page, "#dialog-title").text == "Trial 5"
    find(code_page, "#close").click()
    find(code_page, "#theme").click()
    find(code_page, ".lineage [data-trial='6']").click()
    dark = papers(code_page)
    assert len({*light, *dark}) == 4
    assert max(map(colour_of, dark)) < 0.3
    assert min(map(colour_of, light)) > 0.7


def papers(browser):
    """Returns what added and removed lines stand on."""
    style = "getComputedStyle(document.querySelector(`#dialog .patch .${kind}`)).backgroundColor"
    return browser.execute_script(f"return ['add', 'del'].map((kind) => {style})")


def test_hostile_code_does_nothing_in_any_dialog(code_page):
    find(code_page, f"{EXPERIMENTS} [data-trial]").click()
    while find(code_page, "#next").is_enabled():
        code_page.execute_script("document.querySelector('#next').click()")
    find(code_page, "#close").click()
    find(code_page, f"{EXPERIMENTS} [data-trial='9']").click()
    (patch,) = texts(code_page, "#dialog .patch")
    assert EVIL in patch
    assert "<U+202E>" in patch
    find(code_page, "#close").click()
    find(code_page, f"{EXPERIMENTS} [data-exchange='8']").click()
    reply, prompt = texts(code_page, "#dialog pre")
    assert "\u202e" not in reply
    assert "<U+202E>" in reply
    assert LONG not in reply
    assert f"[... {len(LONG) - 2000 + 6} more characters]" in reply
    assert "boom" in prompt
    assert code_page.execute_script("return document.querySelectorAll('#dialog img, #dialog script').length") == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_experiments_fit_on_a_phone(code_page, theme):
    look(code_page, width=390, theme=theme)
    code_page.refresh()
    draw_all(code_page)
    assert code_page.execute_script("return document.documentElement.scrollWidth") <= 390
    find(code_page, f"{EXPERIMENTS} [data-trial='9']").click()
    body = find(code_page, "#dialog-body")
    assert body.get_property("scrollWidth") <= body.get_property("clientWidth")


@pytest.fixture
def several(window, run):
    """Opens the page of a run with so many objectives, its charts drawn, and returns what the run found."""

    def opened(count, charts=".plot"):
        folder = run.parent / f"objectives-{count}"
        if not folder.exists():
            write_points(folder, np.random.default_rng(count).random((30, count)).tolist())
        found = load_run(folder)
        window.get(write_report([RunAnalysis(found)], folder / "report.html").as_uri())
        draw_all(window, charts)
        return found

    return opened


def write_points(folder, points):
    """Writes a run whose trials have these values, the second of them maximised."""
    goals = [Objective(f"f{i}", "maximize" if i == 1 else "minimize") for i in range(len(points[0]))]
    header = {"method": "random", "task": "toy", "seed": 0, "options": {}, "workers": 1, "space": SPACE.to_json()}
    header |= {"objectives": [asdict(goal) for goal in goals], "budget": {"trials": len(points)}}
    rng = np.random.default_rng(0)
    with Journal(folder, header) as journal:
        for i, values in enumerate(points):
            params = SPACE.sample(rng)
            journal.asked(1, [Suggestion(params, Origin.RANDOM, i)], [params], t=i, seconds=0.1)
            journal.finished(i, Outcome(Status.COMPLETE, tuple(values)), seconds=0.1, t=i + 0.5)
        journal.stopped("trials", t=len(points))


FRONT = "[data-figure=r0-front]"


def test_a_point_of_the_front_shows_its_configuration_and_opens(window, several):
    from selenium.webdriver import ActionChains

    report = several(2)
    script = (
        "const traces = document.querySelector(arguments[0]).data;"
        "const at = traces.findIndex((trace) => trace.name.endsWith('on the front'));"
        "return [at, traces[at].customdata]"
    )
    at, marked = window.execute_script(script, FRONT)
    assert set(marked) == {trial.id for trial in report.front.trials}
    window.execute_script("arguments[0].scrollIntoView({block: 'center'})", find(window, FRONT))
    point = find(window, f"{FRONT} .scatterlayer .trace:nth-child({at + 1}) .points path")
    ActionChains(window).move_to_element(point).perform()
    said = until(window, "document.querySelector(arguments[0])?.textContent", f"{FRONT} .hoverlayer .hovertext")
    params = next(trial.params for trial in report.front.trials if trial.id == marked[0])
    assert said.startswith(f"trial {marked[0]}, ")
    assert f"width = {params['width']}" in said
    ActionChains(window).click().perform()
    assert find(window, "#dialog-title").text == f"Trial {marked[0]}"


def test_dominated_points_are_faint_in_every_plane(window, several):
    report = several(4, FRONT)
    look_through = "[...document.querySelectorAll(arguments[0])].map((e) => Number(getComputedStyle(e).opacity))"
    seen = window.execute_script(f"return {look_through}", f"{FRONT} .scatterlayer .points path")
    best, planes = len(report.front.trials), 6
    assert 0 < best < len(report.trials)
    assert len([opacity for opacity in seen if opacity > 0.9]) == best * planes
    assert len([opacity for opacity in seen if opacity < 0.3]) == (len(report.trials) - best) * planes


def test_three_objectives_are_a_space_of_points_to_be_opened(window, several):
    report = several(3, FRONT)
    assert until(window, "document.querySelector(arguments[0])?.width > 100", f"{FRONT} canvas")
    assert "WebGL" not in find(window, "main").text
    trial = report.front.trials[0].id
    script = "document.querySelector(arguments[0]).emit('plotly_click', { points: [{ customdata: arguments[1] }] })"
    window.execute_script(script, FRONT, trial)
    assert find(window, "#dialog-title").text == f"Trial {trial}"


@pytest.mark.parametrize(("theme", "count"), [("light", 4), ("dark", 3)])
def test_fronts_fit_on_a_phone(window, several, theme, count):
    look(window, width=390, theme=theme)
    several(count)
    assert window.execute_script("return document.documentElement.scrollWidth") <= 390
    assert "on the Pareto front; hypervolume" in find(window, "#r0-best").text


@pytest.fixture
def foretold(window, run):
    """Opens the page of a run that foretold its values, all its charts drawn, and returns what the run found."""
    folder = run.parent / "foretold"
    if not folder.exists():
        write_foretold(folder)
    found = load_run(folder)
    window.get(write_report([RunAnalysis(found)], folder / "report.html").as_uri())
    draw_all(window)
    return found


def write_foretold(folder):
    """Writes a run of one turn with two objectives, one of them named by no friend; one prediction is far off."""
    goals = [Objective("f0"), Objective(EVIL, "maximize")]
    header = {"method": "mohollm", "task": "toy", "seed": 0, "options": {}, "workers": 1, "space": SPACE.to_json()}
    header |= {"objectives": [asdict(goal) for goal in goals], "budget": {"trials": 12}}
    pool = {"asked": 25, "accepted": 20, "outside": 3, "missing": 2}
    rng = np.random.default_rng(0)
    with Journal(folder, header) as journal:
        for i, values in enumerate(rng.random((12, 2)).tolist()):
            note = {"turn": 1, "predicted": [1e9 if i == 4 else values[0], 0.5 * values[1]]}
            note |= {"pool": pool} if i == 0 else {}
            params = SPACE.sample(rng)
            journal.asked(1, [Suggestion(params, Origin.LLM, i, note)], [params], t=i, seconds=0.1)
            journal.finished(i, Outcome(Status.COMPLETE, tuple(values)), seconds=0.1, t=i + 0.5)
        journal.stopped("trials", t=12)


def test_a_prediction_says_what_it_was_and_opens_its_trial(window, foretold):
    from selenium.webdriver import ActionChains

    assert "25 asked for, 20 accepted (80 %), 12 of these run" in find(window, "#r0-s-candidates").text
    plot = "[data-figure=r0-predictions-0]"
    window.execute_script("arguments[0].scrollIntoView({block: 'center'})", find(window, plot))
    point = find(window, f"{plot} .scatterlayer .trace:nth-child(1) .points path:nth-child(5)")
    ActionChains(window).move_to_element(point).perform()
    said = until(window, "document.querySelector(arguments[0])?.textContent", f"{plot} .hoverlayer .hovertext")
    assert said.startswith("trial 4, llm")
    assert "predicted 1e+09" in said
    assert "1 predicted far off, at the edge" in texts(window, f"{plot} .annotation-text")
    ActionChains(window).click().perform()
    assert find(window, "#dialog-title").text == "Trial 4"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_predictions_fit_on_a_phone(window, theme, request):
    look(window, width=390, theme=theme)
    request.getfixturevalue("foretold")
    assert window.execute_script("return document.documentElement.scrollWidth") <= 390
    assert len(window.find_elements("css selector", "#r0-s-candidates .plot[data-drawn]")) == 2
