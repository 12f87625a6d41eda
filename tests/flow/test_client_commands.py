"""Commands that ask a server over REST, against a real `campana serve` with sandbox carriers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from serve_kit import PASSWORD, Done, Run, Served, phone

NOBODY = "00000000-0000-4000-8000-000000000009"
pytestmark = pytest.mark.xdist_group("client")


@pytest.fixture
def run(asking: Run) -> Run:
    return asking


# --- keys --------------------------------------------------------------------------------------------------------


def test_keys_are_made_listed_and_ended(run: Run) -> None:
    def key(*words: str) -> Done:
        return run("key", *words, "--password-stdin", stdin=PASSWORD + "\n")

    made = key("create", "acme/ann", "billing", "--json").json
    assert made["key"].startswith(made["prefix"])
    assert "account:admin" not in made["scopes"]
    short = key("create", "acme/ann", "x", "--scope", "events:read", "--days", "7").out.strip()
    assert short.startswith("ck_")
    listed = key("list", "acme/ann").out
    assert made["prefix"] in listed
    assert short not in listed
    assert re.search(r" x +ann .* events:read +20\d\d-\d\d-\d\d ", listed)
    assert key("revoke", "acme/ann", made["id"]).out == "The key was revoked.\n"
    assert made["id"] not in key("list", "acme/ann").out
    told = run("campaign", "list", "--api-key", made["key"], code=1)
    assert re.fullmatch(r"campana: .* \(1 InvalidSession\)\n", told.err)


@pytest.mark.parametrize(
    ("words", "stdin", "code", "sentence"),
    [
        (["key", "list", "acme/ann", "--password-stdin"], "wrong", 1, r"campana: .* wrong \(2 InvalidCredentials\)"),
        (["key", "list", "acme", "--password-stdin"], PASSWORD, 2, "campana: who logs in should be ACCOUNT/USER, .*"),
        (["key", "revoke", "acme/ann", NOBODY, "--password-stdin"], PASSWORD, 1, r"campana: .* \(40 NotFound\)"),
        (["campaign", "show", NOBODY], "", 1, r"campana: There is no such campaign .* \(10 CampaignNotFound\)"),
        (["campaign", "list", "--api-key", "two words"], "", 2, "campana: the API key should be one word .*"),
        (["campaign", "list", "--url", "nowhere"], "", 2, "campana: the server's address should be http://HOST.*"),
        (["campaign", "create"], "", 2, "campana: say what the campaign is: by a file, or by options .*"),
        (["campaign", "create", "--name", "x"], "", 1, r"campana: .* \(12 InvalidCampaign\)"),
        (["campaign", "create", "--from-date", "soon"], "", 2, "campana: from_date: invalid RFC3339 encoded date"),
        (["campaign", "create", "--days", "monday,x"], "", 1, r"campana: .*days.* \(42 InvalidRequest\)"),
        (["send", "sms", "+14165600001", "Hello", "--html"], "", 2, "campana: --subject and --html go with an email"),
        (["send", "email", "a@example.com", "Hello"], "", 2, "campana: an email needs a --subject"),
        (["send", "sms", "+1416", "Hello", "--from", "Campana"], "", 1, r"campana: .* \(22 InvalidContact\)"),
        (["contacts", "import", NOBODY, "-"], "", 2, "campana: say what standard input holds: --kind csv or .*"),
        (["contacts", "export", NOBODY, "-"], "", 2, "campana: say what to write: --kind csv or --kind jsonl"),
        (["contacts", "export", NOBODY, "x.xls"], "", 2, "campana: .*csv or jsonl.*: --kind csv or --kind jsonl"),
        (["contacts", "import", NOBODY, "x.csv", "--key", "two words"], "", 2, "campana: --key: the key should be .*"),
        (["contacts", "import", NOBODY, "none.csv"], "", 1, "campana: none.csv: No such file or directory"),
    ],
)
def test_what_is_not_done_is_told_in_a_line(run: Run, words: list[str], stdin: str, code: int, sentence: str) -> None:
    done = run(*words, stdin=stdin, code=code)
    assert done.out == ""
    assert re.fullmatch(sentence + r"\n", done.err), done.err


def test_a_server_that_is_not_there_is_told_with_its_address(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    told = run("campaign", "list", "--url", "http://name:secret@127.0.0.1:1", code=1)
    assert told.err == "campana: The server at http://127.0.0.1:1 cannot be reached: Connection refused.\n"
    monkeypatch.delenv("CAMPANA_API_KEY")
    assert "CAMPANA_API_KEY" in run("campaign", "list", code=2).err


# --- campaigns ---------------------------------------------------------------------------------------------------


def test_campaigns_are_made_listed_and_steered(run: Run) -> None:
    made = run("campaign", "create", "--name", "Spring", "--sms-from", "Campana", "--sms-text", "Hello", "--paused")
    found = re.fullmatch(r'The campaign "Spring" was created: (\S{36})\n', made.out)
    assert found, made.out
    guid = found[1]
    assert re.search(rf"^ *{guid} +Spring +paused +sms +20\d\d-", run("campaign", "list").out, re.MULTILINE)
    listed = run("campaign", "list", "--state", "paused", "--name", "spri", "--most", "1", "--json").json
    assert [one["id"] for one in listed] == [guid]
    assert run("campaign", "resume", guid).out == 'The campaign "Spring" goes on; it is running.\n'
    assert run("campaign", "pause", guid).out == 'The campaign "Spring" is paused.\n'
    assert run("campaign", "pause", guid, "--json").json["paused"] is True
    unasked = run("campaign", "cancel", guid, code=2)
    assert "use --yes" in unasked.err
    assert run("campaign", "cancel", guid, "--yes").out == 'The campaign "Spring" is cancelled.\n'
    assert "(13 CampaignEnded)" in run("campaign", "resume", guid, code=1).err


FILES = {
    "campaign.toml": """
name = "From a file"
from_date = 2030-12-01
from_time = 09:00:00
to_time = "18:00:00"
days = ["monday", "friday"]
time_zone = "Europe/Rome"
[sms]
from = "Campana"
text = "Hello"
[voice]
enabled = false
text = "Good morning"
""",
    "campaign.json": json.dumps({"name": "From a file", "sms": {"from": "Campana", "text": "Hello"}}),
}


@pytest.mark.parametrize("name", FILES)
def test_a_campaign_is_made_of_a_file_and_options_go_before_it(run: Run, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text(FILES[name])
    (tmp_path / "mail.html").write_text("<p>Grüße</p>")
    mail = ("--email-from", "a@example.com", "--email-subject", "Hi", "--email-html", str(tmp_path / "mail.html"))
    made = run("campaign", "create", str(file), "--sms-text", "Bye", *mail, "--to-date", "2031-01-31", "--json").json
    assert (made["name"], made["to_date"]) == ("From a file", "2031-01-31")
    assert made["sms"] == {"enabled": True, "from": "Campana", "text": "Bye", "uncertain": "give_up"}
    assert made["email"]["html"] == "<p>Grüße</p>"
    if name == "campaign.toml":
        assert (made["from_date"], made["from_time"], made["to_time"]) == ("2030-12-01", "09:00:00", "18:00:00")
        assert (made["days"], made["time_zone"], made["state"]) == (["monday", "friday"], "Europe/Rome", "scheduled")
        assert (made["voice"]["enabled"], made["voice"]["text"]) == (False, "Good morning")


@pytest.mark.parametrize(
    ("name", "text", "code", "sentence"),
    [
        ("a.toml", "name = ", 1, "it is not valid TOML"),
        ("a.json", '{"name": ', 1, "it is not valid JSON"),
        ("a.json", "[]", 1, "it should be an object with the fields of a campaign"),
        ("a.toml", 'nme = "x"', 1, "there is no field nme"),
        ("a.toml", '[sms]\nfrm = "x"', 1, "there is no field sms.frm"),
        ("a.toml", 'name = "x"\nsms = 7', 2, "sms: expected"),
        ("a.toml", 'name = "x"\n[voice]\nmax_plays = "two"', 2, "voice.max_plays: expected `int`, got `str`"),
    ],
)
def test_a_file_that_is_no_campaign_is_told(
    run: Run, tmp_path: Path, name: str, text: str, code: int, sentence: str
) -> None:
    (tmp_path / name).write_text(text)
    done = run("campaign", "create", str(tmp_path / name), code=code)
    assert sentence in done.err
    assert done.err.count("\n") == 1


# --- one message -------------------------------------------------------------------------------------------------


def test_one_message_goes_out_and_what_became_of_it_is_told(run: Run, here: Served) -> None:
    assert run("send", "sms", phone(901), "Hello", "--from", "Campana").out == "Delivered.\n"
    assert phone(901) in here.taken("smsc")
    mail = ("send", "email", "ada@example.com", "-", "--from", "office@example.com", "--subject", "Hi")
    told = run(*mail, "--json", stdin="1 < 2\n\nBye").json
    assert (told["status"], told["destination"]) == ("success", "ada@example.com")
    (made,) = run("campaign", "list", "--name", "message by email", "--json").json
    assert made["id"] == told["campaign"]
    assert made["email"]["html"] == "<p>1 &lt; 2</p><p>Bye</p>"


def test_a_message_to_nobody_leaves_no_campaign_behind(run: Run) -> None:
    before = run("campaign", "list", "--json").json
    assert "(22 InvalidContact)" in run("send", "sms", "nowhere", "Hello", "--from", "Campana", code=1).err
    assert run("campaign", "list", "--json").json == before


def test_one_message_that_does_not_arrive_is_told_in_words(run: Run) -> None:
    done = run("send", "sms", "+14165550189", "Hello", "--from", "Campana", code=1)
    assert re.fullmatch(r"Not delivered: .+ \(204 SmsInvalidDestination\)\n", done.out)
    late = run("send", "voice", phone(902), "Hello", "--wait", "0.1", code=1).err
    assert re.fullmatch(r"campana: after 0\.1 seconds it is \w[\w ]+(, held back by: .+)?; it goes on as .{45}\n", late)
