"""Owns how errors of the server's parts are told in a sentence.

Must not know which command met one.
"""

from __future__ import annotations

from campana.config import ConfigError
from campana.domain.errors import MethodError
from campana.engine.guard import InstanceLost
from campana.services.accounts import AccountError
from campana.storage.store import StoreUnavailable, UpgradeRefused
from campana.telemetry import scrub

_EXPECTED = (ConfigError, AccountError, MethodError, InstanceLost, StoreUnavailable, OSError)


def sentence_of(error: Exception) -> str:
    """What went wrong, for a person; what was not expected is called a defect."""
    if not isinstance(error, _EXPECTED):
        return f"a defect: {type(error).__name__}: {scrub(str(error))} (--traceback shows where)"
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        return "\n  ".join(["the configuration has these problems:", *error.problems])
    if isinstance(error, StoreUnavailable) and not isinstance(error, UpgradeRefused):
        return f"the database cannot be used right now: {scrub(str(error))}"
    if isinstance(error, MethodError):
        return error.sentence
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error)


def is_defect(error: Exception) -> bool:
    """Whether nobody expected this."""
    return not isinstance(error, _EXPECTED)
