"""Decoding files of strangers in child processes that can be lost. Knows no file format itself.

A decoder is a module of `engine.decoders` with a function `decode(request, data)` that yields
parts. It runs under limits of memory, time and files and without a network; whatever it does to
itself becomes the error of one row.
"""

from engine.media.decoder import Decoder, Limits
from engine.media.errors import DecodeFailed
from engine.media.extractor import MediaExtractor, SourceBlob
from engine.media.spool import DecodedSpool
from engine.media.wire import Part

__all__ = [
    "DecodeFailed",
    "DecodedSpool",
    "Decoder",
    "Limits",
    "MediaExtractor",
    "Part",
    "SourceBlob",
]
