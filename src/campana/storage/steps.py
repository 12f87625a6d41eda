"""Owns the steps that the schema is brought along by: their order, beside which of them older programs go on, and
which comes next.

Must not run any: it reads what the scripts declare. Revisions are numbers of four digits, so that they compare as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from campana.storage.store import UpgradeRefused


@dataclass(frozen=True, slots=True)
class Step:
    """A revision. A *before* step only adds, so that every older program goes on beside it; an *after* step takes
    away, so that some cannot."""

    revision: str
    needs: str | None
    """Of an *after* step: the oldest revision whose program works on what it leaves. None for a *before* step."""

    @property
    def is_after(self) -> bool:
        """Whether some older programs stop working by it."""
        return self.needs is not None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a database stands."""

    revision: str | None
    """None where there are no tables yet."""
    oldest_code: str | None = None
    """The oldest revision whose program still works on it; None where nothing was ever taken away."""


class Course:
    """All steps that a program knows, in their order."""

    def __init__(self, scripts: Path) -> None:
        self.config = Config()
        self.config.set_main_option("script_location", str(scripts))
        revisions = list(ScriptDirectory.from_config(self.config).walk_revisions())
        self.steps = tuple(_step(one.revision, vars(one.module)) for one in reversed(revisions))

    @property
    def newest(self) -> str:
        """The newest revision that the program knows."""
        return self.steps[-1].revision

    def ahead(self, standing: Standing) -> tuple[Step, ...]:
        """The steps that a database has yet to take. None, where a newer program has been there already.

        Raises UpgradeRefused where this program does not work on the tables any more.
        """
        if standing.oldest_code is not None and standing.oldest_code > self.newest:
            raise UpgradeRefused(
                f"the database was upgraded for a newer version: it is at revision {standing.revision} and needs a "
                f"program that knows {standing.oldest_code}, and this one knows none after {self.newest}"
            )
        return tuple(step for step in self.steps if standing.revision is None or step.revision > standing.revision)

    def next_step(self, standing: Standing, finish: bool) -> Step | None:
        """The step to take now: an *after* step, and what follows one, only to `finish`. Raises UpgradeRefused."""
        ahead = self.ahead(standing)
        if not ahead or (ahead[0].is_after and not finish):
            return None
        return ahead[0]


def _step(revision: str, declared: dict[str, object]) -> Step:
    """Read what a script declares: `phase`, and with "after" also `oldest_code`. Raises ValueError."""
    phase, oldest_code = declared.get("phase"), declared.get("oldest_code")
    if phase == "before" and oldest_code is None:
        return Step(revision, None)
    if phase == "after" and isinstance(oldest_code, str) and oldest_code <= revision:
        return Step(revision, oldest_code)
    raise ValueError(f'revision {revision} should say phase = "before", or "after" and which oldest_code it leaves')
