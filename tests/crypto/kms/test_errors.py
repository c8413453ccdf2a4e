import pytest

from crypto.keyrequest import REFUSALS
from crypto.kms import errors

ALL = sorted(
    (each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.KmsError)),
    key=lambda each: each.__name__,
)
RETRYABLE = {errors.Throttled, errors.KmsUnavailable}


@pytest.mark.parametrize("kind", ALL, ids=lambda each: each.__name__)
def test_each_error_has_a_known_code_and_says_what_to_do(kind: type[errors.KmsError]) -> None:
    assert kind.code in REFUSALS
    if kind is not errors.KmsError:
        assert kind("it happened").remedy
        assert kind("it happened", remedy="do this").remedy == "do this"


@pytest.mark.parametrize("kind", ALL, ids=lambda each: each.__name__)
def test_only_what_may_pass_by_itself_is_retryable(kind: type[errors.KmsError]) -> None:
    assert kind.retryable == (kind in RETRYABLE)
