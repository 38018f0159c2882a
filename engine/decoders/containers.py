"""Opening sound and film by FFmpeg: only formats on the list, no protocols, bytes from memory."""

import io
from typing import Any, Final

import av
from av.container import InputContainer

from engine.decoders.sections import plain
from engine.media.errors import unreadable

_FORMATS: Final = "mov,mp4,m4a,matroska,webm,avi,ogg,wav,flac,mp3,aac,aiff,caf,mpegts,flv,w64"
_RATE: Final = 16_000  # what nets for speech listen to
_LIE_SECONDS: Final = 1.0
_TRUSTED: Final = frozenset({"mov", "matroska", "ogg", "wav", "flac"})  # the length is in the file

AUDIO_RATE: Final = _RATE


def open_container(data: bytes) -> InputContainer:
    """Open a file.

    Raises:
        DecodeFailed: it is none of the formats on the list, or is damaged.
    """
    try:
        return av.open(
            io.BytesIO(data),
            "r",
            options={"format_whitelist": _FORMATS, "protocol_whitelist": ""},
            metadata_errors="replace",
        )
    except (av.error.InvalidDataError, av.error.ArgumentError):  # the latter: not on the list
        raise unreadable(
            "It is no sound or film of a kind that is read, or is cut off.",
            hint="Look at what is stored at its address; its name does not matter.",
        ) from None
    except av.error.FFmpegError as error:
        raise unreadable(
            f"The file is damaged: {error.strerror}.", hint="Upload it again."
        ) from None


def about(container: InputContainer) -> dict[str, Any]:
    """Return what a file says of itself."""
    return {"format": container.format.name, "tags": plain(dict(container.metadata))}


def require_honest(container: InputContainer, stream: Any, seconds: float) -> None:
    """Refuse a file that says it lasts much longer than it does.

    Raises:
        DecodeFailed: it is cut off, or lies.
    """
    if _TRUSTED.isdisjoint(container.format.name.split(",")):
        return  # elsewhere the length is a guess of the library
    if stream.duration is not None:
        said = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        said = container.duration / av.time_base
    else:
        return
    if said > 1.5 * seconds + _LIE_SECONDS:
        raise unreadable(
            f"The file says that it lasts {said:.1f} s, but holds {seconds:.1f} s.",
            hint="It is cut off or damaged: upload it again.",
        )
