"""The audit in the background: a count that is wrong is set right, counted and told of."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from services_kit import Kit, campaign, contact, open_kit

from campana.bus.contract import Hint, News
from campana.domain.delivery import Medium, Status
from campana.domain.moment import HOUR
from campana.engine.auditing import Auditor
from campana.engine.duties import Duty
from campana.engine.options import Tools


def repairs(kit: Kit) -> float:
    families = text_string_to_metric_families(kit.metrics.render().decode())
    (family,) = [family for family in families if family.name == "campana_audit_repairs"]
    return next(sample.value for sample in family.samples if sample.name.endswith("_total"))


def auditor(kit: Kit) -> Auditor:
    bus = kit.services.tools.bus
    return Auditor(kit.store.progress, bus, Duty(None, "auditing", "test", kit.clock), Tools(kit.clock, kit.metrics))


async def test_counts_that_are_right_stay_as_they_are(tmp_path: Path) -> None:
    async with open_kit(tmp_path) as kit:
        who = await kit.user("acme", "ann", "admin")
        guid = await kit.services.campaigns.add(who, campaign())
        await kit.services.contacts.add(who, contact(guid))
        kit.clock.pass_(2 * HOUR)
        kit.hints.clear()
        await auditor(kit).round()
        assert (repairs(kit), kit.hints) == (0, [])
        assert await kit.store.progress.unaudited(kit.clock() - HOUR, 9) == []


async def test_a_count_that_is_wrong_is_set_right_and_told_of(tmp_path: Path) -> None:
    async with open_kit(tmp_path) as kit:
        who = await kit.user("acme", "ann", "admin")
        guid = await kit.services.campaigns.add(who, campaign())
        await kit.services.contacts.add(who, contact(guid))
        await kit.services.progress.events(who, guid, 0, 9)
        with sqlite3.connect(tmp_path / "campana.db") as connection:
            connection.execute("UPDATE progress SET contacts = 7")
        connection.close()
        assert (await kit.services.progress.balance(who, guid)).balance.contacts == 7
        audit = auditor(kit)
        await audit.round()
        assert repairs(kit) == 0  # it was begun just now
        kit.clock.pass_(2 * HOUR)
        kit.hints.clear()
        await audit.round()
        assert repairs(kit) == 1
        assert [hint.news for hint in kit.hints] == [News.CONTACTS]
        assert kit.hints[0] == Hint(News.CONTACTS, 1)
        balance = (await kit.services.progress.balance(who, guid)).balance
        assert (balance.contacts, balance.of(Medium.SMS, Status.PENDING)) == (1, 1)


async def test_a_process_without_the_duty_audits_nothing(tmp_path: Path) -> None:
    class Taken(Duty):
        async def held(self) -> bool:
            return False

    async with open_kit(tmp_path) as kit:
        who = await kit.user("acme", "ann", "admin")
        await kit.services.campaigns.add(who, campaign())
        kit.clock.pass_(2 * HOUR)
        due = await kit.store.progress.unaudited(kit.clock() - HOUR, 9)
        duty = Taken(None, "auditing", "test", kit.clock)
        await Auditor(kit.store.progress, kit.services.tools.bus, duty, Tools(kit.clock, kit.metrics)).round()
        assert await kit.store.progress.unaudited(kit.clock() - HOUR, 9) == due != []
