"""Owns docs/images/demo.svg: runs the demo and draws the last lines of its terminal.

Must not touch what the demo printed. Run as `make picture`; the picture is of a real run.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from campana.sandbox.demo import DemoOptions, run
from campana.sandbox.demo_screen import Screen

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "demo.svg"
COLUMNS = 117
LINES = 62

# Fonts from elsewhere, which a README does not load, and the generator's comment.
SUPERFLUOUS = re.compile(r"@font-face \{.*?\}\n|<!--.*?-->\n?|[ \t]+$", re.DOTALL | re.MULTILINE)


def main() -> None:
    """Run the demo's campaign and write the picture; exit code 1 where it did not come to its end."""
    terminal = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=COLUMNS, highlight=False)
    finished = run(DemoOptions(port=0, once=True), Screen(terminal, live=False))
    if not finished:
        sys.exit("the demo's campaign did not come to its end: no picture")
    printed = terminal.file.getvalue().rstrip().splitlines()
    paper = Console(file=io.StringIO(), record=True, width=COLUMNS, force_terminal=True, highlight=False)
    paper.print(Text.from_ansi("\n".join(printed[-LINES:])), soft_wrap=True)
    picture = paper.export_svg(title="make demo", unique_id="campana-demo")
    # Some viewers would drop the blanks at the beginning of a line.
    picture = SUPERFLUOUS.sub("", picture).replace("<svg ", '<svg xml:space="preserve" ', 1)
    PICTURE.write_text(picture, encoding="utf-8")
    sys.stdout.write(f"Drew {PICTURE.name} from the last {LINES} of {len(printed)} lines.\n")


if __name__ == "__main__":
    main()
