"""A 32-byte secret that cannot be printed, pickled, copied or compared by accident.

The bytes live in a `bytearray` that is overwritten when the secret is wiped or collected. That bounds how long *this*
copy lives; CPython, OpenSSL and Rust may hold others for as long as they work with the key (docs/threat-model.md).
"""

import hmac
import os
from typing import Any, NoReturn, Self

from crypto.errors import KeyWiped, Malformed

KEY_BYTES = 32


class _Material(bytearray):
    """Key bytes that overwrite themselves when neither their key nor a view of them is left.

    Were it the key that does so, `SecretKey(x).view()` would be a view of zeros: the key is gone once it returned.
    """

    __slots__ = ()

    def wipe(self) -> None:
        for i in range(len(self)):
            self[i] = 0

    def __del__(self) -> None:
        self.wipe()

    def __repr__(self) -> str:
        return "<key material>"

    __str__ = __repr__


class SecretKey:
    """Thirty-two secret bytes with a bounded life.

    Args:
        material: 32 bytes; copied. Wipe the source yourself where that is possible.

    Raises:
        Malformed: `material` is not 32 bytes long.
    """

    __slots__ = ("_material", "_wiped")

    def __init__(self, material: bytes | bytearray | memoryview) -> None:
        if len(material) != KEY_BYTES:
            raise Malformed(f"a key has {KEY_BYTES} bytes, not {len(material)}")
        self._material = _Material(material)
        self._wiped = False

    @classmethod
    def generate(cls) -> Self:
        """A fresh random key from the operating system."""
        return cls(os.urandom(KEY_BYTES))

    def view(self) -> memoryview:
        """A read-only view of the bytes, for handing to a primitive; do not keep it.

        Where another thread may wipe the key, call `require_intact` after the primitive is done with the view.

        Raises:
            KeyWiped: the key was wiped.
        """
        self.require_intact()
        return memoryview(self._material).toreadonly()

    def require_intact(self) -> None:
        """Refuse to go on with a key that was wiped, or is being wiped in another thread.

        A key is marked before its first byte is overwritten, so whatever was made from its view before this call
        returns was made from the whole key, never from zeros.

        Raises:
            KeyWiped: the key was wiped.
        """
        if self._wiped:
            raise KeyWiped("this key was wiped and can no longer be used", remedy="ask the key-broker again")

    def wipe(self) -> None:
        """Overwrite the bytes. The key cannot be used afterwards; wiping twice is harmless."""
        self._wiped = True  # before the first byte, see require_intact
        self._material.wipe()

    def same_as(self, other: "SecretKey") -> bool:
        """Whether both hold the same bytes, in constant time."""
        return hmac.compare_digest(self.view(), other.view())

    def __repr__(self) -> str:
        return "<SecretKey>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "<SecretKey>"

    def __eq__(self, other: object) -> NoReturn:
        """Refused: `==` takes longer the more of it is right."""
        raise TypeError("compare secrets with same_as()")

    __hash__ = None  # type: ignore[assignment]

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refused: nobody would wipe what was written."""
        raise TypeError("a secret is not pickled or copied")

    def __getstate__(self) -> NoReturn:
        """Refused, as pickling."""
        raise TypeError("a secret is not pickled or copied")

    def __copy__(self) -> NoReturn:
        """Refused: nobody would wipe the copy."""
        raise TypeError("a secret is not copied")

    def __deepcopy__(self, memo: Any) -> NoReturn:
        """Refused: nobody would wipe the copy."""
        raise TypeError("a secret is not copied")
