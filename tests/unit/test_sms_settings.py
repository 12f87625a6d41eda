"""What can be set on an SMS route, and how a bad value is named."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from campana.channels.sms import SmsRouteSettings
from campana.channels.sms.settings import Endpoint, parse_url

URLS = [
    ("smpp://id:secret@smsc.example:2776", Endpoint("smsc.example", 2776, False, "id", "secret")),
    ("smpp://id:secret@smsc.example", Endpoint("smsc.example", 2775, False, "id", "secret")),
    ("smpps://id:secret@smsc.example/", Endpoint("smsc.example", 3550, True, "id", "secret")),
    ("smpp://id@smsc.example", Endpoint("smsc.example", 2775, False, "id", "")),
    ("smpp://a%40b:p%3Aw%2F%25@smsc.example", Endpoint("smsc.example", 2775, False, "a@b", "p:w/%")),
    ("smpp://id:secret@[2001:db8::1]:2775", Endpoint("2001:db8::1", 2775, False, "id", "secret")),
]


@pytest.mark.parametrize(("url", "wanted"), URLS)
def test_urls(url, wanted):
    assert parse_url(url) == wanted
    assert SmsRouteSettings(name="sms", url=url).endpoint == wanted


BAD = [
    ("another scheme", {"url": "http://id:hush@smsc.example"}, "must begin with smpp:// or smpps://"),
    ("no host", {"url": "smpp://id:hush@"}, "must name the system id and the host"),
    ("no system id", {"url": "smpp://smsc.example"}, "must name the system id and the host"),
    ("port 0", {"url": "smpp://id:hush@smsc.example:0"}, "must name the system id and the host"),
    ("port too large", {"url": "smpp://id:hush@smsc.example:70000"}, "the port must be a number"),
    ("port not a number", {"url": "smpp://id:hush@smsc.example:port"}, "the port must be a number"),
    ("a path", {"url": "smpp://id:hush@smsc.example/path"}, "nothing may follow the port"),
    ("a query", {"url": "smpp://id:hush@smsc.example?window=5"}, "nothing may follow the port"),
    ("long system id", {"url": f"smpp://{'i' * 16}:hush@smsc.example"}, "the system id must be at most 15"),
    ("NUL in the password", {"url": "smpp://id:hush%00@smsc.example"}, "the password must be at most 64"),
    ("not UTF-8 in the password", {"url": "smpp://id:hush%ff@smsc.example"}, "the password must be at most 64"),
    ("window of none", {"window": 0}, "greater than or equal to 1"),
    ("window too large", {"window": 1001}, "less than or equal to 1000"),
    ("bind nobody knows", {"bind": "receiver"}, "'transceiver' or 'pair'"),
    ("long text nobody knows", {"long_text": "sar"}, "'udh8', 'udh16' or 'payload'"),
    ("TON beyond an octet", {"source_ton": 256}, "less than or equal to 255"),
    ("service type too long", {"service_type": "CMTCMT"}, "at most 5 characters"),
    ("system type not printable", {"system_type": "a\0"}, "match pattern"),
    ("validity too short", {"validity": 59}, "greater than or equal to 60"),
    ("an unknown key", {"windows": 5}, "Extra inputs are not permitted"),
    ("another channel", {"channel": "email"}, "'sms'"),
]


@pytest.mark.parametrize(("more", "rule"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_value_is_named_with_its_rule_and_without_itself(more, rule):
    with pytest.raises(ValidationError) as caught:
        SmsRouteSettings(**({"name": "sms", "url": "smpp://id:hush@smsc.example"} | more))
    (error,) = caught.value.errors(include_input=False)
    assert error["loc"] == tuple(more)
    assert rule in error["msg"]
    assert "hush" not in str(caught.value)


def test_the_defaults_are_what_carriers_usually_allow():
    settings = SmsRouteSettings(name="sms", url="smpp://id:secret@smsc.example")
    assert (settings.window, settings.binds, settings.bind, settings.long_text) == (50, 1, "transceiver", "udh8")
    assert (settings.receipts, settings.receipt_ids, settings.receipt_timeout) == (True, "text", 86_400)
    assert settings.tls_context() is None
    assert settings.most_connections == 1


TOGETHER = [
    ("a CA without TLS", {"tls_ca": "ca.pem"}, "tls_ca and tls_verify need an url that begins with smpps://"),
    ("no check without TLS", {"tls_verify": False}, "tls_ca and tls_verify need an url that begins with smpps://"),
    ("back-off upside down", {"reconnect_min": 5, "reconnect_max": 4}, "reconnect_max must not be below"),
]


@pytest.mark.parametrize(("more", "rule"), [row[1:] for row in TOGETHER], ids=[row[0] for row in TOGETHER])
def test_a_setting_that_would_do_nothing_is_refused(more, rule):
    with pytest.raises(ValidationError, match=rule):
        SmsRouteSettings(name="sms", url="smpp://id:hush@smsc.example", **more)
