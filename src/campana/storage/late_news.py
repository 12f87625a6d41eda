"""Owns how a batch of late news is judged against the attempts to which it belongs, on any database.

Must not decide what news does to a delivery (domain/retry.py), nor hold statements: it is handed what was matched,
and tells what is to be written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from campana.domain.call import CallReport
from campana.domain.delivery import Medium, Status, may_move
from campana.domain.outcome import Change, DeliveryCode, Receipt, ReceiptState
from campana.domain.retry import UNCERTAIN_CODES, RetryRule, Tried, decide_missing_receipt, decide_receipt
from campana.storage.outcomes import LateMove, after_the_end
from campana.storage.river import Handover, Moved
from campana.storage.tables import campaign_of, medium_of

A_SEGMENT_FAILED = -1
"""In place of the count of open segments: the attempt has failed, whatever the other segments' receipts say."""


class Match(msgspec.Struct, array_like=True):
    """A receipt's attempt as it stands: (index of the receipt, hand-over, ...)."""

    index: int
    handover: int
    """0 where it was matched by its delivery."""
    delivery: int
    attempt: int
    status: int
    attempts_left: int
    tries: int
    parts_open: int


RuleOf = Callable[[int], tuple[RetryRule, bool]]
"""The rule of a delivery's lane, and whether its campaign is over."""


@dataclass(slots=True)
class News:
    """What a batch of late news comes to: filled while its receipts are judged one after the other."""

    rule_of: RuleOf
    now: int
    moves: dict[tuple[int, int], LateMove] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    """Hand-overs whose receipt has come."""
    calls: dict[tuple[int, int], CallReport] = field(default_factory=dict)
    moved: list[Moved] = field(default_factory=list)
    _standing: dict[tuple[int, int], Match] = field(default_factory=dict)

    def judge(self, receipts: Sequence[Receipt], matches: Mapping[int, Match]) -> None:
        """Judge the receipts in their order, each against its match."""
        for index, receipt in enumerate(receipts):
            match = matches.get(index)
            if match is None or receipt.state is ReceiptState.INTERIM or match.handover in self.ended:
                continue
            if match.handover:
                self.ended.add(match.handover)
            if receipt.call is not None:
                self.calls[match.delivery, match.attempt] = receipt.call
            # A later receipt of this batch must see what an earlier one did.
            standing = self._standing.setdefault((match.delivery, match.attempt), match)
            if standing.tries == match.attempt and standing.parts_open != A_SEGMENT_FAILED:
                self._judge_one(receipt, standing)

    def _judge_one(self, receipt: Receipt, standing: Match) -> None:
        delivered = receipt.state is ReceiptState.DELIVERED
        standing.parts_open = standing.parts_open - 1 if delivered else A_SEGMENT_FAILED
        waits_for_more = delivered and standing.parts_open > 0
        change = None if waits_for_more else self._change(receipt, standing)
        if change is not None and not may_move(Status(standing.status), change.status, bounce=receipt.bounce):
            return
        # Two receipts of a batch that move the same delivery are one move, from where it stood before both.
        earlier = self.moves.get((standing.delivery, standing.attempt))
        was = earlier.was if earlier is not None else standing.status
        if change is not None:
            standing.status = int(change.status)
            retry = change.retry_at is not None
            self.moved.append(Moved(campaign_of(standing.delivery), medium_of(standing.delivery), change.code, retry))
        self.moves[standing.delivery, standing.attempt] = LateMove(
            standing.delivery,
            standing.attempt,
            change,
            was,
            int(change.status) if change else standing.status,
            int(change.code) if change else 0,
            standing.parts_open,
            receipt.carrier_code,
            receipt.carrier_text,
        )

    def _change(self, receipt: Receipt, standing: Match) -> Change:
        rule, is_over = self.rule_of(standing.delivery)
        tried = Tried(standing.attempt, standing.attempts_left, self.now)
        if receipt.bounce:
            delivered = receipt.state is ReceiptState.DELIVERED
            return Change(Status.SUCCESS if delivered else Status.PERMANENT_FAILURE, receipt.code, False)
        if receipt.state is ReceiptState.FAILED and receipt.code in UNCERTAIN_CODES:
            change = decide_missing_receipt(receipt.code, tried, rule)
        else:
            change = decide_receipt(receipt.state is ReceiptState.DELIVERED, receipt.code, tried, rule)
        return after_the_end(change, is_over)


def receipt_that_never_came(handover: Handover, now: int) -> Receipt:
    """What is known of a message whose carrier never told its end, in the form of a receipt."""
    is_sms = medium_of(handover.delivery) is Medium.SMS
    code = DeliveryCode.SMS_RECEIPT_MISSING if is_sms else DeliveryCode.UNCERTAIN
    return Receipt(handover.route, ReceiptState.FAILED, code, now, (handover.carrier_id,))
