"""Owns what can be set about speech, and the rules of each setting.

Must not start a program, nor look for voices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from campana.domain.campaign import VOICE_TEXT_MAX

VoiceName = Annotated[str, Field(max_length=200)]


class SpeechSettings(BaseModel):
    """`[speech]`: engines, voices, and what was spoken before."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    engines: tuple[Literal["piper", "flite", "espeak"], ...] = Field(
        default=("piper", "flite", "espeak"),
        min_length=1,
        max_length=3,
        description="Engines to speak with, the better liked first; those that are not on this machine are left out.",
    )
    default: VoiceName = Field(
        default="",
        description="Voice for campaigns whose voice name says nothing; blank takes the best liked one for English.",
    )
    aliases: dict[VoiceName, VoiceName] = Field(
        default={},
        max_length=1_000,
        description='Voices for names of other products, as in `"Microsoft Zira" = "flite:slt"`.',
    )
    speed: float = Field(default=1.0, ge=0.5, le=2.0, description="Speed of speaking, times the voice's own.")
    workers: int = Field(default=2, ge=1, le=16, description="Texts that are spoken at the same time.")
    waiting: int = Field(default=1_000, ge=1, le=100_000, description="Texts that may wait for that; more are put off.")
    longest_text: int = Field(
        default=VOICE_TEXT_MAX, ge=1, le=VOICE_TEXT_MAX, description="Characters of a text, at most."
    )
    longest_seconds: float = Field(
        default=300.0, ge=1, le=3_600, description="Seconds that a text may take to hear, at most."
    )
    timeout: float = Field(
        default=60.0, ge=1, le=600, description="Seconds that an engine may take for a text before it is ended."
    )
    cache_mb: int = Field(
        default=512, ge=16, le=1_048_576, description="Megabytes of spoken texts to keep in `server.data_dir`."
    )
    flite: str = Field(default="flite", min_length=1, max_length=4_096, description="The program flite.")
    piper: str = Field(default="piper", min_length=1, max_length=4_096, description="The program piper.")
    piper_voices: Path | None = Field(
        default=None, description="Folder with piper's voices: `NAME.onnx` and `NAME.onnx.json`; none leaves piper out."
    )
