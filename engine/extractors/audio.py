"""audio@v1: loudness of a sound, the stretches in which somebody speaks, and what is said."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
from pydantic import Field

from engine.media import MediaExtractor, Part, SourceBlob
from engine.nets.errors import NetError
from engine.nets.speech_net import SpeechNet, load_speech_net, require_speech_net, speech_in
from engine.spec import ExtractorSpec, InputSpec, OutputSpec, Parameters
from models.errors import ExtractorUnavailable
from models.fields import FieldType, VectorField

_RATE: Final = 16_000


class AudioParameters(Parameters):
    """What counts as speech, and which net writes it down."""

    net: str | None = Field(
        None, description="Whisper net that writes speech down: a name, or a folder; or none."
    )
    language: str | None = Field(
        None, pattern="^[a-z]{2,3}$", description="Language spoken; found out when absent."
    )
    threshold: float = Field(0.5, gt=0, lt=1, description="From which likelihood on it is speech.")
    pause_seconds: float = Field(1.0, ge=0.1, le=30, description="A pause that parts two segments.")
    max_seconds: float = Field(7200.0, ge=1, le=14_400, description="A longer sound fails.")


def _no_vectors(_: Parameters, __: Path) -> tuple[VectorField, ...]:
    return ()


class AudioExtractor(MediaExtractor):
    """Listen to a sound."""

    spec: ClassVar = ExtractorSpec(
        name="audio",
        version="v1",
        description="Loudness, stretches of speech and their text; one document a stretch.",
        inputs=(InputSpec("audio", "blob", "The sound, or a film with sound."),),
        outputs=(
            OutputSpec("segment", FieldType.INTEGER, pa.int32(), "Its place in the sound, from 0."),
            OutputSpec("start_seconds", FieldType.NUMBER, pa.float64(), "When it begins."),
            OutputSpec("end_seconds", FieldType.NUMBER, pa.float64(), "When it ends."),
            OutputSpec(
                "speech",
                FieldType.BOOLEAN,
                pa.bool_(),
                "Whether somebody speaks; a sound without speech is one document.",
            ),
            OutputSpec(
                "text",
                FieldType.STRING,
                pa.large_string(),
                "What is said, if a net is given.",
                filterable=False,
            ),
            OutputSpec("language", FieldType.STRING, pa.string(), "Of the text."),
            OutputSpec("rms_dbfs", FieldType.NUMBER, pa.float64(), "Level of the segment in dB."),
            OutputSpec(
                "loudness_lufs",
                FieldType.NUMBER,
                pa.float64(),
                "Loudness of the whole sound by EBU R 128; absent when it is too short.",
            ),
            OutputSpec("duration_seconds", FieldType.NUMBER, pa.float64(), "Of the whole sound."),
            OutputSpec("sample_rate", FieldType.INTEGER, pa.int32(), "Of the file."),
            OutputSpec("channels", FieldType.INTEGER, pa.int32(), "Of the file."),
            OutputSpec("codec", FieldType.STRING, pa.string(), "Such as `aac`."),
            OutputSpec("tags", FieldType.OBJECT, pa.large_string(), "What it says.", json=True),
        ),
        parameters=AudioParameters,
        vectors=_no_vectors,
        position_fields=("segment",),
        memory_mb=2048,
        requires=("av", "faster_whisper"),
        extra="audio",
    )
    decoder = "engine.decoders.audio"
    parameters: AudioParameters
    _net: SpeechNet | None = None

    def require(self) -> None:
        """Look whether the net is here; raises ExtractorUnavailable."""
        if self.parameters.net is not None:
            try:
                require_speech_net(self.parameters.net, cache=self.cache)
            except NetError as error:
                raise ExtractorUnavailable(
                    error.message, path=("extractor", "parameters", "net"), hint=error.hint
                ) from error

    def setup(self) -> None:
        """Start the decoder and load the net, if there is one; raises ExtractorUnavailable."""
        super().setup()
        if self.parameters.net is not None:
            try:
                self._net = load_speech_net(self.parameters.net, cache=self.cache, threads=1)
            except NetError as error:
                raise ExtractorUnavailable(error.message, hint=error.hint) from error

    def request(self, _: SourceBlob) -> dict[str, Any]:
        """Ask for no more than is listened to."""
        return {"max_seconds": self.parameters.max_seconds}

    def documents(self, parts: Iterator[Part]) -> Iterator[dict[str, Any]]:
        """Make a document of each stretch of speech, or of a sound without any."""
        pieces: list[bytes] = []
        about: dict[str, Any] = {}
        for part in parts:
            pieces += part.blobs
            about = part.head or about
        sound = np.frombuffer(b"".join(pieces), np.int16).astype(np.float32) / np.float32(2**15)
        common = {
            "loudness_lufs": about["lufs"],
            "duration_seconds": about["seconds"],
            "sample_rate": about["sample_rate"],
            "channels": about["channels"],
            "codec": about["codec"],
            "tags": orjson.dumps(about["tags"]).decode(),
        }
        found = speech_in(
            sound, threshold=self.parameters.threshold, pause_seconds=self.parameters.pause_seconds
        )
        for number, (start, end) in enumerate(found or [(0, len(sound))]):
            yield {
                **common,
                "segment": number,
                "start_seconds": round(start / _RATE, 3),
                "end_seconds": round(end / _RATE, 3),
                "speech": bool(found),
                "rms_dbfs": _level(sound[start:end]),
                **(self._said(sound[start:end]) if found else {"text": None, "language": None}),
            }

    def _said(self, sound: npt.NDArray[np.float32]) -> dict[str, str | None]:
        if self._net is None:
            return {"text": None, "language": None}
        text, language = self._net.write_down(sound, language=self.parameters.language)
        return {"text": text or None, "language": language}


def _level(sound: npt.NDArray[np.float32]) -> float | None:
    """Return the root mean square in decibels below full scale; None for silence."""
    power = float(np.mean(np.square(sound, dtype=np.float64))) if len(sound) else 0.0
    return round(10 * float(np.log10(power)), 2) if power > 0 else None
