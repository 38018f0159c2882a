"""Film: one part a scene, cut where the picture changes.

Part: start, end (seconds), width, height; blobs: a key frame as JPEG, and the scene's sound as FLAC
(empty when there is none).
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import av
import numpy as np
from av.container import InputContainer

from engine.decoders.containers import AUDIO_RATE, about, open_container, require_honest
from engine.decoders.image import as_jpeg
from engine.decoders.sound import Samples, read_sound
from engine.media.errors import too_much, unreadable
from engine.media.wire import Part

_SEEN_WIDTH: Final = 160  # of the frames that are compared
_KEPT_SIDE: Final = 1280  # of key frames
_TICK_FRAMES: Final = 200  # between two signs of life


@dataclass
class _Scene:
    """A stretch of film; its key frame is taken from its second quarter."""

    start: float
    end: float = 0.0
    frames: list[tuple[float, Any]] = field(default_factory=list)

    def see(self, at: float, until: float, frame: Any) -> None:
        """Keep a frame whenever the scene has doubled its length, and the two last ones kept."""
        self.end = until
        if not self.frames or at - self.start >= 2 * (self.frames[-1][0] - self.start) + 0.04:
            self.frames = [*self.frames[-1:], (at, frame)]

    def key_frame(self) -> bytes:
        """Return the frame that stands for the scene."""
        return as_jpeg(self.frames[0][1].to_image(), _KEPT_SIDE)


def decode(request: Mapping[str, Any], data: bytes) -> Iterator[Part]:
    """Yield a part without blobs now and then, for life, and one for each scene."""
    limit = float(request.get("max_seconds", 7200))
    with open_container(data) as container:
        if not container.streams.video:
            raise unreadable("The file has no picture.", hint="Use audio@v1 for sound.")
        sound = yield from _sound(data, limit)
        scenes = 0
        last = 0.0
        for scene in _scenes(container, request, limit):
            if scene is None:
                yield Part({}, [])
                continue
            scenes += 1
            last = scene.end
            yield _part(container, scene, sound)
        if not scenes:
            raise unreadable("The film has no frame that can be decoded.")
        require_honest(container, container.streams.video[0], last)


def _sound(data: bytes, limit: float) -> Any:
    """Return all samples; None when there is no sound."""
    with open_container(data) as container:
        if not container.streams.audio:
            return None
        pieces = list[Samples]()
        for number, samples in enumerate(read_sound(container, limit_seconds=limit)):
            pieces.append(samples)
            if number % _TICK_FRAMES == 0:
                yield Part({}, [])
        return np.concatenate(pieces) if pieces else None


def _scenes(
    container: InputContainer, request: Mapping[str, Any], limit: float
) -> Iterator[_Scene | None]:
    threshold = float(request.get("threshold", 10.0))
    shortest, longest = float(request.get("shortest", 1.0)), float(request.get("longest", 60.0))
    scene: _Scene | None = None
    for number, (at, until, change, frame) in enumerate(_frames(container)):
        if until > limit:
            raise too_much(
                f"The film lasts longer than {limit:.0f} s.",
                hint="Cut it into shorter files, or raise max_seconds.",
            )
        if scene is not None:
            long = at - scene.start
            if (change >= threshold and long >= shortest) or long >= longest:
                yield scene
                scene = None
        if scene is None:
            scene = _Scene(at)
        scene.see(at, until, frame)
        if number % _TICK_FRAMES == 0:
            yield None
    if scene is not None:
        yield scene


def _frames(container: InputContainer) -> Iterator[tuple[float, float, float, Any]]:
    """Yield when each frame comes and goes, how much it differs from the one before, and itself."""
    stream = container.streams.video[0]
    step = 1 / float(stream.average_rate or 25)
    graph = av.filter.Graph()
    source = graph.add_buffer(template=stream)
    small = graph.add("scale", f"{_SEEN_WIDTH}:-2")
    compare, sink = graph.add("scdet"), graph.add("buffersink")
    for one, other in ((source, small), (small, compare), (compare, sink)):
        one.link_to(other)
    graph.configure()
    count = 0
    try:
        for frame in container.decode(stream):
            graph.push(frame)
            score = float(graph.pull().metadata.get("lavfi.scd.score", 0.0))
            at = float(frame.time) if frame.time is not None else count * step
            count += 1
            yield at, at + step, score, frame
    except av.error.FFmpegError as error:
        if not count:
            raise unreadable(f"The film is damaged: {error.strerror}.") from None


def _part(container: InputContainer, scene: _Scene, sound: Samples | None) -> Part:
    codec = container.streams.video[0].codec_context
    heard = b""
    if sound is not None:
        samples = sound[int(scene.start * AUDIO_RATE) : int(scene.end * AUDIO_RATE)]
        heard = _flac(samples) if len(samples) else b""
    head = {
        **about(container),
        "start": round(scene.start, 3),
        "end": round(scene.end, 3),
        "width": codec.width,
        "height": codec.height,
    }
    return Part(head, [scene.key_frame(), heard])


def _flac(samples: Samples) -> bytes:
    body = io.BytesIO()
    with av.open(body, "w", format="flac") as made:
        stream = made.add_stream("flac", rate=AUDIO_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = AUDIO_RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            made.mux(packet)
    return body.getvalue()
