import io
import json
import logging
import traceback
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

import msgspec
import pytest

from crypto.errors import KeyWiped, Malformed
from crypto.secret import SecretKey, _Material
from tests.crypto.world import CARRIERS

MATERIAL = bytes(range(0x41, 0x61))
TRACES = (MATERIAL.decode(), MATERIAL.hex(), str(list(MATERIAL))[1:-1], repr(MATERIAL)[2:-1])


def log(key: SecretKey) -> str:
    stream = io.StringIO()
    logger = logging.getLogger("test_secret")
    logger.handlers = [logging.StreamHandler(stream)]
    logger.warning("%s %r %s", key, key, [key])
    return stream.getvalue()


def trace(key: SecretKey) -> str:
    try:
        held = key
        raise RuntimeError(f"with {held}")
    except RuntimeError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        format,
        "{:>40}".format,
        "{0!r} {0!s} {0!a}".format,
        lambda key: f"{[key]} { ({'k': key}) } {(key,)}",
        log,
        trace,
    ],
)
def test_key_is_not_shown_in_text(show: Callable[[SecretKey], str]) -> None:
    text = show(SecretKey(MATERIAL))
    assert "SecretKey" in text
    assert not any(each in text for each in TRACES)


@pytest.mark.parametrize(
    "carry_off",
    [
        *CARRIERS,
        ForkingPickler.dumps,
        json.dumps,
        msgspec.msgpack.encode,
        msgspec.json.encode,
        bytes,
        bytearray,
        list,
        hash,
        vars,
        lambda key: key.__getstate__(),
        lambda key: key.__reduce__(),
        lambda key: key == MATERIAL,
        lambda key: key == SecretKey(MATERIAL),
        lambda key: key != SecretKey(MATERIAL),
    ],
)
def test_key_is_not_carried_off(carry_off: Callable[[SecretKey], Any]) -> None:
    with pytest.raises(TypeError) as caught:
        carry_off(SecretKey(MATERIAL))
    assert not any(each in str(caught.value) for each in TRACES)


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(Malformed, match=str(length)):
        SecretKey(bytes(length))


def test_wiped_key_is_zero_and_unusable() -> None:
    key = SecretKey(MATERIAL)
    view = key.view()
    assert bytes(view) == MATERIAL
    key.wipe()
    key.wipe()
    assert bytes(view) == bytes(32)
    for use in (key.view, key.require_intact, lambda: key.same_as(SecretKey(MATERIAL))):
        with pytest.raises(KeyWiped):
            use()


def test_bytes_are_wiped_when_neither_key_nor_view_is_left() -> None:
    seen: list[bytes] = []

    class Watched(_Material):
        def __del__(self) -> None:
            super().__del__()
            seen.append(bytes(self))

    key = SecretKey(MATERIAL)
    key._material = Watched(MATERIAL)
    view = key.view()
    del key
    assert (bytes(view), seen) == (MATERIAL, [])
    del view
    assert seen == [bytes(32)]


def test_view_of_a_key_that_nobody_keeps_is_not_zeros() -> None:
    assert bytes(SecretKey(MATERIAL).view()) == MATERIAL


def test_key_has_a_life_of_its_own() -> None:
    source = bytearray(MATERIAL)
    key = SecretKey(source)
    source[:] = bytes(32)
    assert bytes(key.view()) == MATERIAL


def test_view_cannot_be_written() -> None:
    with pytest.raises(TypeError):
        SecretKey(MATERIAL).view()[0] = 0


def test_same_as_compares_the_bytes() -> None:
    assert SecretKey(MATERIAL).same_as(SecretKey(MATERIAL))
    assert not SecretKey(MATERIAL).same_as(SecretKey(MATERIAL[:-1] + b"\0"))


def test_generated_keys_differ() -> None:
    assert len({bytes(SecretKey.generate().view()) for _ in range(64)}) == 64
