"""Looks for what must not be readable: in data as it is, in its usual encodings, and inside of what is packed."""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import zstandard

MAX_DEPTH = 5
MAX_UNPACKED = 64 << 20
_BASE64_RUN = re.compile(rb"[A-Za-z0-9+/_-]{20,}")
_HEX_RUN = re.compile(rb"(?:[0-9a-fA-F]{2}){16,}")
_ZSTD = b"\x28\xb5\x2f\xfd"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


class Scanner:
    """Finds needles in haystacks.

    Args:
        needles: bytes by a name for each.
    """

    def __init__(self, needles: Mapping[str, bytes]) -> None:
        assert all(len(needle) >= 8 for needle in needles.values()), "a short needle is found by chance"
        self._forms = [(form, name) for name, needle in needles.items() for form in encodings(needle)]

    def scan(self, haystacks: Iterable[bytes]) -> set[str]:
        """The names of all needles that are in any of `haystacks`, in whatever form."""
        return {
            name
            for haystack in haystacks
            for layer in layers(haystack)
            for form, name in self._forms
            if form in layer
        }


def encodings(needle: bytes) -> set[bytes]:
    """A needle raw, as hex and as both alphabets of base64 in all three alignments; also as JSON and repr write it."""
    forms = {needle, needle.hex().encode(), needle.hex().upper().encode(), repr(needle)[2:-1].encode()}
    for shift in range(3):
        # Characters that hold bits of a neighbour are left out.
        inside = slice(-(-shift * 8 // 6), (shift + len(needle)) * 8 // 6)
        for alphabet in (b"+/", b"-_"):
            forms.add(base64.b64encode(bytes(shift) + needle, alphabet)[inside])
    return forms


def layers(data: bytes, depth: int = MAX_DEPTH) -> Iterator[bytes]:
    """`data`, and everything that comes out when base64, hex and zstd in it are unpacked, again and again."""
    yield data
    if depth:
        for inner in _unpacked(data):
            yield from layers(inner, depth - 1)


def _unpacked(data: bytes) -> Iterator[bytes]:
    for run in _BASE64_RUN.findall(data):
        text = run.translate(_URL_SAFE)
        try:
            yield base64.b64decode(
                text[: len(text) // 4 * 4] if len(text) % 4 == 1 else text + b"=" * (-len(text) % 4)
            )
        except binascii.Error:
            continue
    for run in _HEX_RUN.findall(data):
        yield bytes.fromhex(run.decode())
    at = data.find(_ZSTD)
    while at >= 0:
        with suppress(zstandard.ZstdError):  # not a frame after all
            yield zstandard.ZstdDecompressor().decompressobj().decompress(data[at : at + MAX_UNPACKED])
        at = data.find(_ZSTD, at + 1)
