"""Sound: samples for nets, in pieces while it is decoded, and at the end what is known of it.

Part: {}, blobs: 16-bit samples of one channel at 16 kHz. Last part: format, codec, tags, channels,
sample_rate, seconds, lufs.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from engine.decoders.containers import AUDIO_RATE, about, open_container, require_honest
from engine.decoders.sound import Loudness, Samples, read_sound
from engine.media.errors import unreadable
from engine.media.wire import Part

_PIECE_SAMPLES: Final = 30 * AUDIO_RATE


def decode(request: Mapping[str, Any], data: bytes) -> Iterator[Part]:
    """Yield the sound, then what is known of it."""
    with open_container(data) as container:
        loudness, held, count = Loudness(), list[Samples](), 0
        sound = read_sound(
            container, limit_seconds=float(request.get("max_seconds", 7200)), loudness=loudness
        )
        for samples in sound:
            held.append(samples)
            count += len(samples)
            if sum(map(len, held)) >= _PIECE_SAMPLES:
                yield Part({}, [np.concatenate(held).tobytes()])
                held = []
        if held:
            yield Part({}, [np.concatenate(held).tobytes()])
        if not count:
            raise unreadable("The file holds no sound that can be decoded.")
        stream = container.streams.audio[0]
        require_honest(container, stream, count / AUDIO_RATE)
        yield Part(
            {
                **about(container),
                "codec": stream.codec_context.name,
                "channels": stream.codec_context.channels,
                "sample_rate": stream.codec_context.sample_rate,
                "seconds": round(count / AUDIO_RATE, 3),
                "lufs": loudness.lufs,
            },
            [],
        )
