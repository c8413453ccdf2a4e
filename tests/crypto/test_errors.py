"""What can go wrong with keys: the tree at the head of the module is the tree, and a refusal carries its code."""

import re

from crypto import errors
from crypto.errors import CryptoError, KeyRefused

OURS = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, CryptoError)}


def test_the_tree_at_the_head_of_the_module_has_all_of_them() -> None:
    assert errors.__doc__ is not None
    assert set(re.findall(r"[├└]── (\w+)", errors.__doc__)) == {
        each.__name__ for each in OURS - {CryptoError}
    }


def test_no_error_is_of_another_kind_of_this_package() -> None:
    """Who catches one of them catches nothing else: a broken seal is never taken for an expired ticket."""
    assert all(each.__bases__ == (CryptoError,) for each in OURS - {CryptoError})


def test_a_refusal_tells_by_its_code_and_whether_to_ask_again() -> None:
    error = KeyRefused("kms-throttled", "too many calls", remedy="wait", retryable=True)
    assert (error.code, error.retryable, str(error)) == ("kms-throttled", True, "too many calls (wait)")
    assert not KeyRefused("kms-key-disabled", "it is off").retryable
