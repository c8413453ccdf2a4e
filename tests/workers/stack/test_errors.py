"""Whatever keeps a stack from starting is an error of the stack, which the command tells with its remedy."""

import inspect

import pytest

from config.errors import ConfigError, StrongroomError
from config.stack_file import StackFailure, decode_line, encode_line
from workers.stack import errors
from workers.stack.errors import StackError

KINDS = [
    each for _, each in inspect.getmembers(errors, inspect.isclass) if each.__module__ == errors.__name__
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_gets_to_the_command_with_its_words(kind: type[StackError]) -> None:
    error = kind("it does not start", remedy="see the log")
    assert isinstance(error, StackError)
    assert isinstance(error, StrongroomError)
    with pytest.raises(ConfigError, match="it does not start") as told:
        decode_line(encode_line(StackFailure(error.message, error.remedy)))
    assert told.value.remedy == "see the log"


def test_there_are_such_errors() -> None:
    assert {"AlreadyUp", "RoleFailed", "ServerFailed"} <= {kind.__name__ for kind in KINDS}
