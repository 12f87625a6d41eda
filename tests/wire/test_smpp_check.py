"""`check` and TLS: what is found when a route is tried once, and whose certificate is believed."""

from __future__ import annotations

import ssl

import pytest
import trustme
from smpp_judge import Judge, Running, clock, refuse, settings

from campana.channels.contract import Accepted
from campana.channels.errors import Misconfigured
from campana.channels.sms import SmsRoute
from campana.sandbox.smsc import SmscSimulator


def route(port, **more):
    return SmsRoute(settings(port, **more), clock)


async def test_a_check_binds_tests_and_unbinds():
    async with Judge() as judge:
        report = await route(judge.port).check()
        assert (report.ok, report.problem) == (True, "")
        facts = dict(report.facts)
        assert facts["smsc"] == f"127.0.0.1:{judge.port}"
        assert (facts["tls"], facts["bind"], facts["smsc system id"]) == ("off", "transceiver", "judge")
        assert facts["enquire_link"].endswith(" ms")
        assert [seen.command for _, seen in judge.seen] == ["bind_transceiver", "enquire_link", "unbind"]


async def test_a_check_of_a_pair_tries_the_transmitter():
    async with Judge() as judge:
        assert (await route(judge.port, bind="pair").check()).ok
        assert len(judge.of("bind_transmitter")) == 1


async def test_a_check_leaves_receipts_to_those_who_keep_them():
    def with_a_receipt(connection, request):
        connection.send(
            "deliver_sm", source_addr="1", destination_addr="2", esm_class=4, short_message=b"id:1 stat:DELIVRD"
        )

    async with Judge(enquire_link=with_a_receipt) as judge:
        report = await route(judge.port, response_timeout=0.2).check()
        assert not report.ok
        assert judge.of("deliver_sm_resp") == []


async def test_a_check_says_what_the_smsc_refuses():
    async with Judge(bind_transceiver=refuse(0x0E)) as judge:
        report = await route(judge.port).check()
        assert not report.ok
        assert report.problem == "The SMSC refused the bind: ESME_RINVPASWD (0x0000000E)."


async def test_a_check_says_that_nobody_listens():
    async with Judge() as judge:
        port = judge.port
    report = await route(port).check()
    assert not report.ok
    assert report.problem.startswith(f"Cannot connect to 127.0.0.1:{port}: ")


async def test_a_check_says_that_a_name_is_unknown():
    report = await route(1, url="smpp://campana:secret@smsc.invalid").check()
    assert not report.ok
    assert report.problem.startswith("Cannot connect to smsc.invalid:2775: ")


async def test_a_check_says_that_no_answer_came():
    async with Judge(bind_transceiver=lambda connection, request: None) as judge:
        report = await route(judge.port, response_timeout=0.1).check()
        assert not report.ok
        assert report.problem.endswith("did not answer within 0.1 seconds.")


# --- TLS ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def server_context(authority, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def ca_file(authority, folder):
    path = folder / "ca.pem"
    path.write_bytes(authority.cert_pem.bytes())
    return path


def tls_settings(smsc, host="127.0.0.1"):
    return {"url": f"smpps://campana:secret@{host}:{smsc.port}"}


async def test_messages_leave_over_tls_when_the_certificate_is_good(authority, tmp_path):
    async with SmscSimulator(tls=server_context(authority, "127.0.0.1"), receipt_delay=0.01) as smsc:
        more = tls_settings(smsc) | {"tls_ca": ca_file(authority, tmp_path)}
        async with Running(smsc.port, **more) as running:
            assert [type(result) for result in await running.send(3)] == [Accepted] * 3
            await running.recorder.until(lambda: len(running.recorder.told) == 3)
        report = await route(smsc.port, **more).check()
        assert dict(report.facts)["tls"].startswith("TLSv1.")


async def test_a_certificate_of_nobody_we_know_is_refused(authority):
    async with SmscSimulator(tls=server_context(authority, "127.0.0.1")) as smsc:
        async with Running(smsc.port, **tls_settings(smsc)) as running:
            await running.health("down")
            assert "certificate" in running.route.state.reason
            assert [type(result) for result in await running.send()] == [Misconfigured]
        assert smsc.accepted == 0


async def test_a_certificate_for_another_name_is_refused(authority, tmp_path):
    async with SmscSimulator(tls=server_context(authority, "smsc.example")) as smsc:
        more = tls_settings(smsc) | {"tls_ca": ca_file(authority, tmp_path)}
        report = await route(smsc.port, **more).check()
        assert not report.ok
        assert report.problem.startswith(f"The certificate of 127.0.0.1:{smsc.port} is refused: ")


async def test_without_verification_any_certificate_will_do(authority):
    async with SmscSimulator(tls=server_context(authority, "smsc.example")) as smsc:
        assert (await route(smsc.port, **tls_settings(smsc), tls_verify=False).check()).ok


async def test_tls_to_a_plain_port_fails_with_a_sentence():
    async with Judge() as judge:
        report = await route(judge.port, **tls_settings(judge), response_timeout=0.3).check()
        assert not report.ok
        assert report.problem


async def test_an_authority_file_that_is_not_there_is_the_routes_fault(authority, tmp_path):
    async with SmscSimulator(tls=server_context(authority, "127.0.0.1")) as smsc:
        more = tls_settings(smsc) | {"tls_ca": tmp_path / "missing.pem"}
        async with Running(smsc.port, **more) as running:
            await running.health("down")
            assert running.route.state.reason == "tls_ca cannot be read: No such file or directory."
            assert [type(result) for result in await running.send()] == [Misconfigured]
