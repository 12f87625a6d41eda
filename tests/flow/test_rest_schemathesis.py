"""schemathesis against the REST door's own document, over a real socket and a real store: it finds nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rest_server import rest_server

from campana.api.rest.app import RestOptions
from campana.api.rest.nouns import NOUNS

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "tests" / "data" / "schemathesis.toml"
LEFT_OUT = "stream|contacts\\.(csv|jsonl)|deliveries\\.(csv|jsonl)|attempts\\.(csv|jsonl)"
"""What has no end, or no JSON: tested on its own."""


TAGS = {
    "who": ("Sessions", "Account", "Users", "API keys", "Routes"),
    "campaigns": ("Campaigns",),
    "people": tuple(
        sorted({noun.tag for noun in NOUNS} - {"Sessions", "Account", "Users", "API keys", "Routes", "Campaigns"})
    ),
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("part", TAGS)
def test_schemathesis_finds_nothing(tmp_path: Path, part: str) -> None:
    with rest_server(tmp_path, RestOptions(requests_per_minute=0)) as door:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
            *("run", f"{door.url}/openapi.json", "--header", f"Authorization: Bearer {door.key()}"),
            *("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "2", "--checks", "all"),
            *(word for tag in TAGS[part] for word in ("--include-tag", tag)),
            *("--exclude-path-regex", LEFT_OUT, "--seed", "1", "--no-color", "--warnings", "off"),
        ]
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        done = subprocess.run(
            command, check=False, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=170
        )
    said = "\n".join(line[:300] for line in done.stdout.splitlines() if line.strip())
    assert done.returncode == 0, said[-20_000:] + done.stderr[-2_000:]
    assert "No issues found" in done.stdout, done.stdout[-2_000:]
