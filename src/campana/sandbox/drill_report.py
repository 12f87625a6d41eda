"""Owns the report of a drill: what it was made with, what happened, the balance, and whether every promise was kept.

Must not know how it is shown to people; scripts get it as JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from campana.sandbox.drill_balance import Account, Balance
from campana.sandbox.drill_plan import Event
from campana.sandbox.drill_town import Plot


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a drill."""

    seed: int
    plot: Plot
    balance: Balance
    events: Sequence[Event]
    planned: int
    """How many events there were to be."""
    ended_by_themselves: Sequence[str]
    """Processes that ended though nobody had hit them."""
    repeated: int
    """Requests that the client asked again since they were not answered."""
    seconds: float

    def broken(self) -> list[str]:
        """The promises that were broken, a sentence each; none where all were kept."""
        sentences = self.balance.broken()
        sentences += [f"{name} ended by itself" for name in self.ended_by_themselves]
        if len(self.events) < self.planned:
            sentences.append(f"messages stopped arriving: only {len(self.events)} of {self.planned} blows were dealt")
        return sentences

    def as_json(self) -> dict[str, Any]:
        """All of it, for scripts."""
        plot = self.plot
        return {
            "kept": not self.broken(),
            "broken": self.broken(),
            "seed": self.seed,
            "store": plot.store,
            "seconds": round(self.seconds, 1),
            "requests_repeated": self.repeated,
            "balance": {account.medium.name.lower(): _account(account) for account in self.balance.accounts},
            "limits": {
                name: {"limit": use.limit, "most": use.most, "above": use.above}
                for name, use in self.balance.limits.items()
            },
            "events": [_event(event) for event in self.events],
        }


def _account(account: Account) -> dict[str, Any]:
    return {
        "uncertain_are": "given up" if account.gives_up else "sent again",
        "accepted": account.promised,
        "succeeded": account.succeeded,
        "uncertain": account.uncertain,
        "uncertain_allowed": account.allowed,
        "failed": account.failed,
        "unfinished": account.unfinished,
        "lost": account.lost,
        "missing": list(account.missing),
        "never_arrived": list(account.never_arrived),
        "denied": list(account.denied),
        "doubled": list(account.doubled),
        "doubled_allowed": account.allowed_doubles,
        "doubled_unexplained": list(account.unexplained),
        "outside": list(account.outside),
        "strangers": list(account.strangers),
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "what": event.blow.value,
        "role": event.role.value,
        "whom": event.whom,
        "began": event.began,
        "ended": event.ended,
        "arrived": event.arrived,
        "taken_over_ms": event.taken_over_ms,
    }
