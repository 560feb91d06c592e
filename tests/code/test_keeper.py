"""Keep or discard: the rule, case by case."""

from __future__ import annotations

import pytest

from agentopt.code.keeper import AGAIN, Keeper, KeepRule, Verdict, line_changes
from agentopt.trial import Edit, Origin, Outcome, Status, Trial

SEED = "a = 1\nb = 2\n"
LONGER = "a = 1\nb = 2\nc = 3\nd = 4\n"
SHORTER = "a = 1\n"
OTHER = "a = 1\nb = 9\n"


def trial(number, loss, text=None, *, parent=None, again=False, replicate=0):
    outcome = Outcome(Status.FAILED, error="boom") if loss is None else Outcome(Status.COMPLETE, (loss,))
    edit = None if text is None else Edit(text, parent, f"try {number}", replicate)
    note = {AGAIN: again} if again is not False else {}
    origin = Origin.BASELINE if edit is None else Origin.LLM
    return Trial(number, {}, outcome, origin, note=note, edit=edit)


def keeper(*trials, noise=None, **rule):
    made = Keeper(KeepRule(noise_floor=noise, line_cost=rule.pop("line_cost", 0.0), **rule), SEED)
    for one in trials:
        made.tell(one)
    return made


BASELINE = (trial(0, 2.0), trial(1, 2.01, SEED, again=None, replicate=1))
"""Two runs of the seed: a noise of 0.01."""


def test_the_noise_is_the_root_mean_square_difference_of_pairs():
    assert keeper(trial(0, 2.0)).noise == 0
    assert keeper(*BASELINE).noise == pytest.approx(0.01)
    one = keeper(*BASELINE, trial(2, 1.985, OTHER), trial(3, 1.955, OTHER, parent=2, again=2, replicate=1))
    assert one.noise == pytest.approx((0.5 * (0.01**2 + 0.03**2)) ** 0.5)
    assert keeper(*BASELINE, noise=0.5).noise == 0.5


@pytest.mark.parametrize(
    ("loss", "verdict"),
    [(1.9, Verdict.KEEP), (2.0, Verdict.DISCARD), (2.5, Verdict.DISCARD), (1.99, Verdict.OPEN), (None, Verdict.CRASH)],
)
def test_a_version_of_the_same_length(loss, verdict):
    made = keeper(*BASELINE, trial(2, loss, OTHER))
    assert made.verdicts[2] is verdict
    assert made.base == (2 if verdict is Verdict.KEEP else None)
    assert made.kept == ([None, 2] if verdict is Verdict.KEEP else [None])
    assert made.due == ([2] if verdict is Verdict.OPEN else [])


@pytest.mark.parametrize(
    ("second", "verdict"), [(1.95, Verdict.KEEP), (2.009, Verdict.DISCARD), (None, Verdict.DISCARD)]
)
def test_the_second_run_decides_a_near_tie_on_the_means(second, verdict):
    again = trial(3, second, OTHER, parent=2, again=2, replicate=1)
    made = keeper(*BASELINE, trial(2, 1.99, OTHER), again, noise=0.01)
    assert made.verdicts[2] is verdict
    assert made.verdicts[3] is (Verdict.CRASH if second is None else Verdict.AGAIN)
    assert made.due == []


def test_the_version_it_is_judged_against_runs_twice_too():
    made = keeper(trial(0, 2.0), trial(1, 1.5, OTHER), trial(2, 1.495, LONGER, parent=1), noise=0.01)
    assert made.base == 1
    assert made.due == [1, 2]
    made.tell(trial(3, 1.52, OTHER, parent=1, again=1, replicate=1))
    assert made.verdicts[2] is Verdict.OPEN
    made.tell(trial(4, 1.47, LONGER, parent=2, again=2, replicate=1))
    assert made.verdicts[2] is Verdict.KEEP


def test_lines_that_are_added_must_be_earned():
    assert keeper(*BASELINE, trial(2, 1.95, LONGER), line_cost=0.001).verdicts[2] is Verdict.KEEP
    assert keeper(*BASELINE, trial(2, 1.95, LONGER), line_cost=0.1).verdicts[2] is Verdict.DISCARD
    assert keeper(*BASELINE, trial(2, 1.95, OTHER), line_cost=0.1).verdicts[2] is Verdict.KEEP


@pytest.mark.parametrize(("second", "verdict"), [(2.005, Verdict.KEEP), (2.2, Verdict.DISCARD)])
def test_shorter_code_is_kept_at_a_tie(second, verdict):
    made = keeper(*BASELINE, trial(2, 2.004, SHORTER), noise=0.01)
    assert made.verdicts[2] is Verdict.OPEN
    made.tell(trial(3, second, SHORTER, parent=2, again=2, replicate=1))
    assert made.verdicts[2] is verdict
    assert keeper(*BASELINE, trial(2, 2.02, SHORTER), noise=0.01).verdicts[2] is Verdict.DISCARD


def test_without_a_first_version_that_runs_the_first_that_does_is_kept():
    made = keeper(trial(0, None), trial(1, 3.0, OTHER), trial(2, 2.0, LONGER, parent=1))
    assert made.verdicts == {0: Verdict.CRASH, 1: Verdict.KEEP, 2: Verdict.KEEP}
    assert made.best.trial == 2


def test_after_as_many_fruitless_experiments_as_stated_the_search_goes_back():
    kept = [trial(i, 2.0 - i / 10, OTHER + f"# {i}\n", parent=i - 1 or None) for i in (1, 2, 3)]
    made = keeper(trial(0, 2.0), *kept, noise=0.0, patience=2)
    assert made.base == 3
    numbers = iter(range(4, 99))

    def fail(times):
        for _ in range(times):
            made.tell(trial(next(numbers), 5.0, "x = 1\n", parent=made.base))

    fail(1)
    assert made.base == 3
    fail(1)
    assert made.base == 2
    fail(2)
    assert made.base in {1, 3}
    assert made.best.trial == 3
    better = next(numbers)
    made.tell(trial(better, 1.0, "y = 1\n", parent=made.base))
    assert made.base == better == made.best.trial


def test_line_changes():
    assert line_changes(SEED, LONGER) == (2, 0)
    assert line_changes(LONGER, SEED) == (0, 2)
    assert line_changes(SEED, OTHER) == (1, 1)


def several(number, values, text=None):
    one = trial(number, 0.0, text)
    return Trial(number, {}, Outcome(Status.COMPLETE, values), one.origin, note=one.note, edit=one.edit)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((1.9, 100.0), Verdict.KEEP),
        ((1.9, 400.0), Verdict.DISCARD),  # 3 more first sizes at 0.1 each eat the gain of 0.1
        ((1.9, 150.0), Verdict.KEEP),
        ((2.05, 20.0), Verdict.KEEP),  # a loss of 0.05, and four fifths of the size saved
        ((2.2, 20.0), Verdict.DISCARD),
    ],
)
def test_a_further_objective_has_its_price(values, verdict):
    made = keeper(several(0, (2.0, 100.0)), several(1, values, OTHER), noise=0.01, price=0.1)
    assert made.verdicts[1] is verdict
    assert made.experiments[1].further == values[1:]
    assert made.experiments[1].loss == pytest.approx(values[0] + 0.1 * (values[1] / 100 - 1))


def test_one_objective_has_no_price():
    assert keeper(trial(0, 2.0), trial(1, 1.5, OTHER), noise=0.01, price=9.0).experiments[1].loss == 1.5
