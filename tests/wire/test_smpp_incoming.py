"""What an SMSC sends to us: receipts and messages packed by smpplib, acknowledged once they are durable."""

from __future__ import annotations

import asyncio

import pytest
from smpp_judge import Judge, Running, clock, make, refuse

from campana.channels.sms import inbox
from campana.domain.outcome import DeliveryCode, ReceiptState

PERSON = {"source_addr_ton": 1, "source_addr_npi": 1, "source_addr": "14165550123", "destination_addr": "12345"}
TEXT = b"id:0042 sub:001 dlvrd:001 submit date:2611231200 done date:2611231201 stat:DELIVRD err:000 text:"


def receipt(text: bytes = TEXT, **more):
    return PERSON | {"esm_class": 0x04, "short_message": text} | more


FORMS = [
    ("text", receipt(), ("0042",), ReceiptState.DELIVERED, DeliveryCode.OK),
    (
        "optional parameters",
        receipt(b"", receipted_message_id="0042", message_state=5, network_error_code=b"\x03\x00\x1b"),
        ("0042",),
        ReceiptState.FAILED,
        DeliveryCode.SMS_UNDELIVERABLE,
    ),
    (
        "text in message_payload",
        receipt(b"", message_payload=TEXT),
        ("0042",),
        ReceiptState.DELIVERED,
        DeliveryCode.OK,
    ),
    (
        "both, spelled differently",
        receipt(TEXT, receipted_message_id="2a", message_state=3),
        ("2a", "0042"),
        ReceiptState.FAILED,
        DeliveryCode.SMS_EXPIRED,
    ),
    (
        "flagged by optional parameter alone",
        receipt(b"", esm_class=0, receipted_message_id="0042", message_state=2),
        ("0042",),
        ReceiptState.DELIVERED,
        DeliveryCode.OK,
    ),
    (
        "intermediate notification",
        receipt(TEXT, esm_class=0x20),
        ("0042",),
        ReceiptState.INTERIM,
        DeliveryCode.OK,
    ),
]


@pytest.mark.parametrize(("fields", "ids", "state", "code"), [row[1:] for row in FORMS], ids=[row[0] for row in FORMS])
async def test_a_receipt_is_told_and_then_acknowledged(fields, ids, state, code):
    async with Judge() as judge, Running(judge.port) as running:
        smsc = await judge.receiver()
        before = clock()
        sequence = smsc.send("deliver_sm", **fields)
        (answer,) = await judge.saw("deliver_sm_resp")
        assert (answer.sequence, answer.status) == (sequence, 0)
        (told,) = running.recorder.told
        assert (told.route, told.carrier_ids, told.state, told.code) == ("sms", ids, state, code)
        assert before <= told.at <= clock()


async def test_a_receipt_by_data_sm_is_taken_too():
    async with Judge() as judge, Running(judge.port) as running:
        smsc = await judge.receiver()
        sequence = smsc.send("data_sm", **PERSON, esm_class=4, receipted_message_id="0042", message_state=2)
        (answer,) = await judge.saw("data_sm_resp")
        assert (answer.sequence, answer.status) == (sequence, 0)
        assert running.recorder.told[0].carrier_ids == ("0042",)


async def test_spellings_of_ids_follow_the_routes_setting():
    async with Judge() as judge, Running(judge.port, receipt_ids="hex") as running:
        smsc = await judge.receiver()
        smsc.send("deliver_sm", **receipt(TEXT.replace(b"0042", b"2A")))
        await judge.saw("deliver_sm_resp")
        assert running.recorder.told[0].carrier_ids == ("2A", "42", "0000000042")


async def test_nothing_is_acknowledged_before_it_is_durable():
    async with Judge() as judge, Running(judge.port) as running:
        smsc = await judge.receiver()
        running.recorder.gate.clear()
        smsc.send("deliver_sm", **receipt())
        smsc.send("deliver_sm", **PERSON, short_message=b"hi")
        # The connection lives on meanwhile.
        smsc.send("enquire_link")
        await judge.saw("enquire_link_resp")
        assert judge.of("deliver_sm_resp") == []
        running.recorder.gate.set()
        await judge.saw("deliver_sm_resp", 2)
        assert (len(running.recorder.told), len(running.recorder.messages)) == (1, 1)


async def test_what_could_not_be_kept_is_asked_for_again():
    async with Judge() as judge, Running(judge.port) as running:
        smsc = await judge.receiver()
        running.recorder.fail = True
        smsc.send("deliver_sm", **receipt())
        (answer,) = await judge.saw("deliver_sm_resp")
        assert answer.status == 0x64
        running.recorder.fail = False
        smsc.send("deliver_sm", **receipt())
        assert (await judge.saw("deliver_sm_resp", 2))[1].status == 0
        assert len(running.recorder.told) == 1


async def test_a_flood_of_receipts_is_held_back_and_none_is_lost():
    count = inbox.MOST_UNANSWERED + 500
    async with Judge() as judge, Running(judge.port, response_timeout=60) as running:
        smsc = await judge.receiver()
        running.recorder.gate.clear()
        for number in range(count):
            smsc.send("deliver_sm", **receipt(TEXT.replace(b"0042", b"%04d" % number)))
        await smsc.writer.drain()
        # A message sent meanwhile is written; its answer stands behind the flood.
        sending = asyncio.ensure_future(running.send(1))
        await judge.saw("submit_sm")
        running.recorder.gate.set()
        await judge.saw("deliver_sm_resp", count)
        assert [told.carrier_ids for told in running.recorder.told] == [(f"{n:04d}",) for n in range(count)]
        assert len((await sending)[0].carrier_ids) == 1


async def test_a_receipt_without_an_id_is_acknowledged_and_dropped():
    async with Judge() as judge, Running(judge.port) as running:
        smsc = await judge.receiver()
        smsc.send("deliver_sm", **receipt(b"delivered, thank you"))
        (answer,) = await judge.saw("deliver_sm_resp")
        assert (answer.status, running.recorder.told, running.recorder.messages) == (0, [], [])


async def test_a_text_that_only_looks_like_a_receipt_is_a_message():
    async with Judge() as judge, Running(judge.port) as running:
        smsc = await judge.receiver()
        smsc.send("deliver_sm", **PERSON, short_message=TEXT)
        await judge.saw("deliver_sm_resp")
        assert running.recorder.told == []
        assert [message.text for message in running.recorder.messages] == [TEXT.decode()]


MESSAGES = [
    ("GSM", {"short_message": b"Caf\x05 \x1b\x65"}, "Café €"),
    ("Latin-1", {"short_message": b"caf\xe9", "data_coding": 3}, "café"),
    ("UCS-2", {"short_message": "Привет 👋".encode("utf-16-be"), "data_coding": 8}, "Привет 👋"),
    ("message_payload", {"message_payload": b"x" * 600}, "x" * 600),
    ("a port header", {"short_message": b"\x06\x05\x04\x0b\x84\x23\xf0hello", "esm_class": 0x40}, "hello"),
    ("empty", {}, ""),
]


@pytest.mark.parametrize(("fields", "text"), [row[1:] for row in MESSAGES], ids=[row[0] for row in MESSAGES])
async def test_a_persons_message_is_kept(fields, text):
    async with Judge() as judge, Running(judge.port) as running:
        smsc = await judge.receiver()
        smsc.send("deliver_sm", **PERSON, **fields)
        await judge.saw("deliver_sm_resp")
        (message,) = running.recorder.messages
        assert (message.source, message.destination, message.text) == ("+14165550123", "12345", text)


def part(number, total=3, reference=7, text=b"abc"):
    octets = bytes((5, 0, 3, reference, total, number)) + text[number - 1 : number]
    return PERSON | {"short_message": octets, "esm_class": 0x40}


async def test_parts_are_joined_in_their_order_and_acknowledged_together():
    async with Judge() as judge, Running(judge.port) as running:
        smsc = await judge.receiver()
        smsc.send("deliver_sm", **part(3))
        smsc.send("deliver_sm", **part(1))
        smsc.send("enquire_link")
        await judge.saw("enquire_link_resp")
        assert judge.of("deliver_sm_resp") == []
        smsc.send("deliver_sm", **part(2))
        await judge.saw("deliver_sm_resp", 3)
        assert [message.text for message in running.recorder.messages] == ["abc"]


async def test_parts_by_sar_parameters_are_joined():
    async with Judge() as judge, Running(judge.port) as running:
        smsc = await judge.receiver()
        for number in (2, 1):
            smsc.send(
                "deliver_sm",
                **PERSON,
                short_message=b"part%d " % number,
                sar_msg_ref_num=9,
                sar_total_segments=2,
                sar_segment_seqnum=number,
            )
        await judge.saw("deliver_sm_resp", 2)
        assert [message.text for message in running.recorder.messages] == ["part1 part2 "]


async def test_what_came_of_a_message_is_kept_when_we_stop():
    async with Judge() as judge:
        running = Running(judge.port)
        await running.route.start(running.recorder)
        smsc = await judge.receiver()
        smsc.send("deliver_sm", **part(2))
        smsc.send("enquire_link")
        await judge.saw("enquire_link_resp")
        await running.route.stop(2.0)
        assert [message.text for message in running.recorder.messages] == ["b"]
        assert len(judge.of("deliver_sm_resp")) == 1


async def test_acknowledgements_of_a_lost_connection_are_forgotten():
    async with Judge() as judge, Running(judge.port) as running:
        smsc = await judge.receiver()
        running.recorder.gate.clear()
        smsc.send("deliver_sm", **receipt())
        smsc.send("enquire_link")
        await judge.saw("enquire_link_resp")
        smsc.hang_up()
        await judge.saw("bind_transceiver", 2)
        running.recorder.gate.set()
        judge.connections[1].send("deliver_sm", **receipt())
        await judge.saw("deliver_sm_resp")
        # Told twice, as it came; what that means is for the engine to know.
        await running.recorder.until(lambda: len(running.recorder.told) == 2)


async def test_a_malformed_deliver_sm_is_refused_and_the_connection_lives():
    async with Judge() as judge, Running(judge.port) as running:
        smsc = await judge.receiver()
        whole = make("deliver_sm", 77, **PERSON, short_message=b"hello")
        cut = (len(whole) - 3).to_bytes(4, "big") + whole[4:-3]
        smsc.writer.write(cut)
        (answer,) = await judge.saw("deliver_sm_resp")
        assert (answer.sequence, answer.status) == (77, 0x01)
        assert len(await running.send()) == 1


async def test_a_request_that_an_smsc_never_makes_is_refused_and_one_without_answer_ignored():
    async with Judge() as judge, Running(judge.port) as running:
        smsc = await judge.receiver()
        smsc.send("submit_sm", source_addr="1", destination_addr="2")
        (answer,) = await judge.saw("generic_nack")
        assert (answer.sequence, answer.status) == (1, 0x03)
        smsc.send("alert_notification", source_addr="1", esme_addr="2")
        outbind = b"smsc\0secret\0"
        smsc.writer.write((16 + len(outbind)).to_bytes(4, "big") + b"\0\0\0\x0b" + bytes(8) + outbind)
        assert len(await running.send()) == 1
        assert len(judge.of("generic_nack")) == 1


async def test_a_refused_bind_hears_nothing():
    async with Judge(bind_transceiver=refuse(0x0E)) as judge, Running(judge.port) as running:
        await running.health("down")
        assert running.recorder.told == []
