"""Owns running one simulator as a process of its own: `python -m campana.sandbox smsc|mail|sip`.

Must not know how a simulator behaves.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import uvloop

from campana.sandbox.mail import MailOptions, serve_mail
from campana.sandbox.sip import SipOptions, serve_sip
from campana.sandbox.smsc import SmscOptions, serve_smsc

LAST_PORT = 65535


def main() -> None:
    """Run the simulator that the command line names until interrupted; print its port once it listens."""
    parser = argparse.ArgumentParser(
        prog="python -m campana.sandbox",
        description="A simulated carrier as a process of its own; it prints its port once it listens.",
    )
    parser.add_argument(
        "kind", choices=("smsc", "mail", "sip"), help="an SMS centre, a mail server or a telephone network"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_port, default=0, help="0 takes a free one")
    parser.add_argument(
        "--journal", type=Path, help="append a JSON line for each message taken and each step of a call"
    )
    parser.add_argument("--sink", action="store_true", help="deliver everything, keep nothing")
    parser.add_argument("--no-receipts", action="store_true", help="smsc: send no delivery receipts")
    parser.add_argument("--receipt-delay", type=float, default=0.2, help="smsc: seconds before a receipt")
    parser.add_argument("--latency", type=float, default=0.0, help="smsc, mail: seconds before an answer")
    parser.add_argument("--ring", type=float, default=1.0, help="sip: seconds that a telephone rings")
    parser.add_argument("--heard", type=Path, metavar="DIR", help="sip: keep what telephones hear as WAV files there")
    parser.add_argument("--user", type=_user, metavar="USER:PASSWORD", help="sip: ask callers for this password")
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(arguments))
        except OSError as error:
            sys.exit(f"{parser.prog}: {error.strerror or error}")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= LAST_PORT):
        raise argparse.ArgumentTypeError("must be a number from 0 to 65535")
    return int(text)


def _user(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not user or not colon:
        raise argparse.ArgumentTypeError("must be USER:PASSWORD")
    return user, password


async def _serve(arguments: argparse.Namespace) -> None:
    place = (arguments.host, arguments.port, arguments.journal, _say)
    keep = 0 if arguments.sink else 10_000
    if arguments.kind == "smsc":
        smsc: SmscOptions = {
            "magic": not arguments.sink,
            "keep": keep,
            "receipts": not arguments.no_receipts,
            "receipt_delay": arguments.receipt_delay,
            "latency": arguments.latency,
        }
        await serve_smsc(*place, **smsc)
    elif arguments.kind == "sip":
        sip: SipOptions = {
            "magic": not arguments.sink,
            "keep": keep,
            "ring": arguments.ring,
            "folder": arguments.heard,
            "accounts": dict([arguments.user]) if arguments.user else None,
        }
        await serve_sip(*place, **sip)
    else:
        mail: MailOptions = {"magic": not arguments.sink, "keep": keep, "latency": arguments.latency}
        await serve_mail(*place, **mail)


def _say(port: int) -> None:
    print(port, flush=True)  # noqa: T201 - whoever started the process reads it


if __name__ == "__main__":
    main()
