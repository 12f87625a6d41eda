"""Owns that nobody lacks what a campaign's texts take: texts are read once per version, and all contacts looked at.

Must not know how texts name what they take (domain/text/merge.py), nor how they are sent.
"""

from __future__ import annotations

from collections import OrderedDict

from campana.domain.campaign import Campaign
from campana.domain.delivery import Medium
from campana.domain.errors import MethodCode, MethodError
from campana.domain.merging import MergeTexts, lacks, merge_texts
from campana.storage.store import CampaignRow, Contacts

REMEMBERED_TEXTS = 1_000
TOLD = 20
"""Contacts that a refusal names."""
_FIELD = {
    Medium.SMS: "OutboundSMSNotificationInfo.TextToSend",
    Medium.VOICE: "OutboundVoiceNotificationInfo.TextToSpeak",
    Medium.EMAIL: "OutboundEmailNotificationInfo.HtmlContent",
}


class Texts:
    """What campaigns' texts take of contacts; each campaign is read once per version of it."""

    def __init__(self) -> None:
        self._of_version: OrderedDict[tuple[int, int], MergeTexts] = OrderedDict()

    def of(self, row: CampaignRow) -> MergeTexts:
        """What a campaign's texts take."""
        key = (row.number, row.version)
        known = self._of_version.get(key)
        if known is None:
            known = self._of_version[key] = merge_texts(row.campaign)
            if len(self._of_version) > REMEMBERED_TEXTS:
                self._of_version.popitem(last=False)
        return known


async def demand_fields_of_all(contacts: Contacts, row: CampaignRow, new: Campaign) -> None:
    """Refuse a new version of a campaign that takes what some contact lacks that has not begun.

    It looks at each contact, where the old version did not take the same already. Raises 12 InvalidCampaign, with the
    first contacts and how many they are. One that is added at that very moment is not seen.
    """
    before, texts = merge_texts(row.campaign), merge_texts(new)
    for medium in sorted(texts.media):
        taken = texts.required(medium)
        known = before.required(medium) if medium in before.media and before.is_for_all == texts.is_for_all else None
        if not taken or (known is not None and taken <= known):
            continue
        lacking, first = await _count_lacking(contacts, row.number, medium, texts)
        if lacking:
            field = _FIELD[medium]
            said = f"{field} takes without a default what {lacking} contacts lack that have not begun: "
            told = ", ".join(first) + (", and more." if lacking > len(first) else ".")
            raise MethodError(MethodCode.INVALID_CAMPAIGN, said + told, field=field)


async def _count_lacking(contacts: Contacts, campaign: int, medium: Medium, texts: MergeTexts) -> tuple[int, list[str]]:
    lacking, first = 0, list[str]()
    with_own, without = texts.of(medium, True), texts.of(medium, False)
    async for page in contacts.unbegun(campaign, medium):
        for one in page:
            if one.person is None and not texts.is_for_all:
                continue
            if lacks(with_own if one.has_own_text else without, one.person):
                lacking += 1
                if len(first) < TOLD:
                    first.append(one.guid)
    return lacking, first
