"""Keep or discard as a run's header states it: the fold that its trials are told, made anew."""

from __future__ import annotations

from collections.abc import Mapping

from agentopt.code.keeper import Keeper, KeepRule
from agentopt.trial import Json

METHODS = ("autoresearch",)
"""The methods that keep or discard what they try."""


def new_keeper(header: Mapping[str, Json]) -> Keeper | None:
    """Returns the fold of a run before its first trial; None for a run that keeps or discards nothing."""
    code = header.get("code")
    if code is None or header["method"] not in METHODS:
        return None
    rule = {name: value for name, value in header["options"].items() if name in KeepRule.model_fields}
    return Keeper(KeepRule.model_validate(rule), code["text"])
