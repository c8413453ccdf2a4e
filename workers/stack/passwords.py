"""The broker passwords of one run of the stack.

They are drawn and kept in place, in buffers that can be wiped: the supervisor forks every role, and a role
must not find the others' passwords in the memory it inherits.
"""

import string
from collections.abc import Iterable, Iterator, Mapping

PASSWORD_LENGTH = 40
# 64 characters, all of them harmless in a URL: 6 bits each, 240 in all.
_ALPHABET = (string.ascii_letters + string.digits + "-_").encode()


class Passwords(Mapping[str, bytearray]):
    """One random password for each user."""

    def __init__(self, users: Iterable[str]) -> None:
        self._by_user = {user: _draw() for user in users}

    def __getitem__(self, user: str) -> bytearray:
        return self._by_user[user]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_user)

    def __len__(self) -> int:
        return len(self._by_user)

    def __repr__(self) -> str:
        return f"Passwords({list(self._by_user)})"

    def keep_only(self, user: str | None) -> None:
        """Wipe every password but that of `user`; all of them for None."""
        for name, password in self._by_user.items():
            if name != user:
                password[:] = bytes(len(password))
        self._by_user = {name: password for name, password in self._by_user.items() if name == user}


def _draw() -> bytearray:
    password = bytearray(PASSWORD_LENGTH)
    with open("/dev/urandom", "rb", buffering=0) as random:
        if random.readinto(password) != PASSWORD_LENGTH:
            raise OSError("short read from /dev/urandom")
    for index, value in enumerate(password):
        password[index] = _ALPHABET[value & 63]
    return password
