"""What all tests stand on: a private PostgreSQL, groups that stay on one worker, and signals as a terminal has them.

Must not know what is tested.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.contract import postgres_kit

# How long an example takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("campana", deadline=None, suppress_health_check=[HealthCheck.too_slow])


def pytest_configure() -> None:
    settings.load_profile("campana")
    # Where compiled modules are not kept, each of the many processes that tests start compiles all of them again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # A shell starts what is in its background with SIGINT ignored, and every process that tests start would inherit it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # The scheduler of `--dist loadgroup` knows a group by the end of a test's name, which pytest-xdist 3.8 writes where
    # pytest 9.2 does not look any more: without this, no test that marks a group would be in one.
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and not item.nodeid.endswith(f"@{group.args[0]}"):
            item._id = type(item._id).parse(f"{item.nodeid}@{group.args[0]}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_kit.Server]:
    """A private PostgreSQL, one for each process of tests."""
    why_not = postgres_kit.why_not()
    if why_not is not None:
        pytest.skip(why_not)
    with postgres_kit.running() as server:
        yield server
