"""How the replies of a language model fared, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agentopt.ledger import Exchange


def reply_counts(exchanges: Sequence[Exchange]) -> dict[str, int]:
    """Returns how many exchanges ended in each way, with the reason, and how many replies needed each mending."""
    counts: Counter[str] = Counter()
    for exchange in exchanges:
        if exchange.status == "ok":
            counts["ok" if exchange.repairs is None else "ok after a repair"] += 1
        else:
            counts[f"{exchange.status}: {kind_of(exchange.reason)}"] += 1
        counts.update(f"mended: {kind}" for kind in sorted({issue.partition(":")[0] for issue in exchange.issues}))
    return dict(sorted(counts.items(), key=lambda item: (not item[0].startswith("ok"), item[0])))


def kind_of(reason: str) -> str:
    """Returns what reasons of one kind have in common: their first words, up to a colon or a line's end."""
    return (reason.strip().splitlines() or ["no reason given"])[0].partition(":")[0][:60] or "no reason given"
