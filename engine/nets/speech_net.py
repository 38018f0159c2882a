"""Nets that listen: voice activity from the wheel of faster-whisper, Whisper by name or folder.

A Whisper net is a folder `<cache>/nets/<name>/` with model.bin, config.json and tokenizer.json, as
CTranslate2 converts them. Nothing is downloaded here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.nets.errors import NetInvalid, NetMissing
from engine.nets.loading import NAME

Sound = npt.NDArray[np.float32]
_FILES: Final = ("model.bin", "config.json", "tokenizer.json")


def speech_in(sound: Sound, *, threshold: float, pause_seconds: float) -> list[tuple[int, int]]:
    """Return the stretches in which somebody speaks, as first and last-but-one sample."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    if not len(sound):
        return []
    options = VadOptions(
        threshold=threshold,
        min_silence_duration_ms=round(1000 * pause_seconds),
        min_speech_duration_ms=250,
        speech_pad_ms=100,
    )
    found: Sequence[dict[str, int]] = get_speech_timestamps(sound, options)
    return [(int(one["start"]), int(one["end"])) for one in found]


class SpeechNet:
    """A loaded Whisper."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def write_down(self, sound: Sound, *, language: str | None) -> tuple[str, str]:
        """Return what is said, and in which language."""
        segments, about = self._model.transcribe(sound, language=language, beam_size=1)
        return " ".join(one.text.strip() for one in segments).strip(), str(about.language)


def require_speech_net(name: str, *, cache: Path) -> Path:
    """Return the folder of a net.

    Raises:
        NetMissing, NetInvalid: it is not here, or its name is none; the hint says what to do.
    """
    if not NAME.fullmatch(name):
        raise NetInvalid(f"{name!r} is not the name of a net", "use name or owner/name")
    folder = cache / "nets" / name
    missing = [file for file in _FILES if not (folder / file).is_file()]
    if missing:
        raise NetMissing(
            f"net {name} is not here: {folder} has no {', '.join(missing)}",
            f'where there is a network: python -c "from faster_whisper import download_model as d; '
            f'd({name!r}, output_dir={str(folder)!r})"; then copy the folder here',
        )
    return folder


def _fetch(name: str, folder: Path) -> str:
    call = f"from faster_whisper import download_model as d; d({name!r}, {str(folder)!r})"
    return f'where there is a network: python -c "{call}"; then copy the folder here'


def load_speech_net(name: str, *, cache: Path, threads: int) -> SpeechNet:
    """Load a net with its weights; raises as `require_speech_net` does."""
    folder = require_speech_net(name, cache=cache)
    from faster_whisper import WhisperModel

    try:
        model: Any = WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=threads,
            local_files_only=True,
        )  # fmt: skip
    except Exception as error:  # the runtime's own errors share no narrower class
        raise NetInvalid(f"net {name} in {folder} cannot be run: {error}") from error
    return SpeechNet(model)
