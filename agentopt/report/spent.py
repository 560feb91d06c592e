"""What a run may spend, has spent and was cut off from, in words."""

from __future__ import annotations

from agentopt.report.load import RunReport
from agentopt.sessions import Budget, planned

ENDS = {
    "exhausted": ", the method had nothing more to propose",
    "seconds": ", its budget of time is spent",
    "failures": ", trial after trial failed alike",
}
"""What is said of the reasons to stop that the status does not tell."""


def duration(seconds: float) -> str:
    """Returns seconds for people."""
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds >= 0.1 else f"{seconds * 1000:.2g} ms"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def cut_text(cut: int) -> str:
    """Returns how many trials the time budget cut off."""
    return f"{cut} cut off by the budget"


def why_done(report: RunReport) -> str:
    """Returns why there is nothing to resume."""
    if report.stopped == "exhausted":
        return "the method has nothing more to propose"
    by_time = report.stopped == "seconds"
    spent = Budget(seconds=report.budget.seconds) if by_time else Budget(report.budget.trials)
    cut = f", and {cut_text(report.cut)}" if report.cut else ""
    return f"its budget of {budget_text(spent)} is spent{cut}"


def budget_text(budget: Budget) -> str:
    """Returns what a run may spend."""
    limits = [f"{budget.trials} trials"] if budget.trials else []
    limits += [duration(budget.seconds)] if budget.seconds else []
    return " or ".join(limits) or "none stated"


def repeat_text(report: RunReport) -> str:
    """Returns what is to be known of another run with the same seed; nothing where it is the same."""
    if report.header.get("repeatable", True):
        return ""
    return "Another run with this seed may differ: the model is served, and does not promise the same replies."


def changes_text(report: RunReport) -> list[str]:
    """Returns what later sessions were given that the run was not started with, one line for each change."""
    lines, before = [], planned(report.header)
    for change in report.changes:
        given, after = change.given, f"After {change.trials} trials"
        if given.budget is not None:
            old, new = budget_text(before), budget_text(given.budget)
            lines.append(f"{after} the budget was changed from {old} to {new} ({change.at}).")
            before = given.budget
        if given.max_failures is not None:
            lines.append(f"{after} max_failures was set to {given.max_failures} ({change.at}).")
        if given.base_url is not None:
            lines.append(f"{after} the model was asked at {given.base_url} ({change.at}).")
        if given.differs:
            lines.append(f"{after} the run was made of something else ({change.at}): {'; '.join(given.differs)}.")
    return lines
