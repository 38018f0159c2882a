"""The sound of a file as 16-bit samples of one channel, and how loud it is."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer

from engine.decoders.containers import AUDIO_RATE
from engine.media.errors import too_much, unreadable

Samples = npt.NDArray[np.int16]
_SILENCE_LUFS: Final = -70.0  # what the measure itself calls silence


@dataclass
class Loudness:
    """Programme loudness by EBU R 128, measured while the sound goes by."""

    lufs: float | None = None
    _graph: Any = field(default=None, repr=False)

    def hear(self, frame: av.AudioFrame) -> None:
        """Listen to one frame."""
        if self._graph is None:
            self._graph = av.filter.Graph()
            source = self._graph.add_abuffer(
                format=frame.format.name, sample_rate=frame.sample_rate, layout=frame.layout.name,
                time_base=frame.time_base,
            )  # fmt: skip
            measure = self._graph.add("ebur128", "metadata=1")
            sink = self._graph.add("abuffersink")
            source.link_to(measure)
            measure.link_to(sink)
            self._graph.configure()
        self._graph.push(frame)
        self._read()

    def _read(self) -> None:
        while True:
            try:
                heard = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            found = heard.metadata.get("lavfi.r128.I")
            if found is not None and math.isfinite(float(found)):
                self.lufs = max(float(found), _SILENCE_LUFS)


def read_sound(
    container: InputContainer, *, limit_seconds: float, loudness: Loudness | None = None
) -> Iterator[Samples]:
    """Yield the samples of the first sound of a file as it is decoded.

    Raises:
        DecodeFailed: there is no sound, it is damaged, or it is too long.
    """
    if not container.streams.audio:
        raise unreadable("The file has no sound.", hint="Leave it out of the batch.")
    resampler = av.AudioResampler(format="s16", layout="mono", rate=AUDIO_RATE)
    count = 0
    try:
        for frame in container.decode(container.streams.audio[0]):
            if loudness is not None:
                loudness.hear(frame)
            for made in resampler.resample(frame):
                samples = _samples(made)
                count += len(samples)
                yield samples
            if count > limit_seconds * AUDIO_RATE:
                raise too_much(
                    f"The sound lasts longer than {limit_seconds:.0f} s.",
                    hint="Cut it into shorter files, or raise max_seconds.",
                )
        for made in resampler.resample(None):
            yield _samples(made)
    except av.error.FFmpegError as error:
        if not count:
            raise unreadable(f"The sound is damaged: {error.strerror}.") from None
        # What came before the damage is sound; a length that lies is found by its file.


def _samples(frame: av.AudioFrame) -> Samples:
    return np.asarray(frame.to_ndarray(), np.int16).reshape(-1)
