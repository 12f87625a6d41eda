"""Owns when a call has delivered its message.

Must not know how a call is placed, nor decide whether it is repeated (retry.py does).
"""

from __future__ import annotations

from campana.domain.call import CallPlan, CallReport, HungUpBy, VoiceSuccess
from campana.domain.outcome import DeliveryCode, ReceiptState


def judge_call(report: CallReport, unanswered: DeliveryCode, plan: CallPlan) -> tuple[ReceiptState, DeliveryCode]:
    """Tell whether a call delivered its message, and if not, why. `unanswered` is why, where nobody answered."""
    if report.answered_at is None:
        return ReceiptState.FAILED, unanswered
    heard = report.plays > 0
    succeeded = {
        VoiceSuccess.ANSWERED: True,
        VoiceSuccess.HEARD: heard or report.acknowledged,
        VoiceSuccess.ACKNOWLEDGED: report.acknowledged,
    }[plan.success]
    if succeeded:
        return ReceiptState.DELIVERED, DeliveryCode.OK
    if heard:
        return ReceiptState.FAILED, DeliveryCode.VOICE_NOT_ACKNOWLEDGED
    if report.ended_by is HungUpBy.CALLEE:
        return ReceiptState.FAILED, DeliveryCode.VOICE_CUT_SHORT
    return ReceiptState.FAILED, DeliveryCode.VOICE_INTERRUPTED
