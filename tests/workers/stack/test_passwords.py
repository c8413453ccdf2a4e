"""Passwords are random, distinct and can be forgotten in place."""

from workers.stack.passwords import PASSWORD_LENGTH, Passwords


def test_every_user_and_every_run_has_another() -> None:
    first, second = Passwords(["a", "b"]), Passwords(["a", "b"])
    everything = {bytes(password) for run in (first, second) for password in run.values()}
    assert len(everything) == 4
    assert all(len(password) == PASSWORD_LENGTH and password.isascii() for password in everything)


def test_a_role_keeps_its_own_and_the_buffers_of_the_others_are_wiped() -> None:
    passwords = Passwords(["a", "b", "c"])
    buffers = dict(passwords)
    mine = bytes(buffers["b"])
    passwords.keep_only("b")
    assert list(passwords) == ["b"]
    assert bytes(buffers["b"]) == mine
    assert buffers["a"] == buffers["c"] == bytearray(PASSWORD_LENGTH)
    assert mine.decode() not in repr(passwords)
