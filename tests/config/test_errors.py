"""The root of all errors: a sentence, a remedy, and an exit code; every package has a tree of its own below it."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import client
import config
import crypto
import repository
import scheduler
import sources
import workers
from config.errors import ConfigError, StrongroomError

PACKAGES = (client, config, crypto, repository, scheduler, sources, workers)
RUN_WHEN_IMPORTED = "__main__"


def all_errors() -> Iterator[type[StrongroomError]]:
    for package in PACKAGES:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.rpartition(".")[2] != RUN_WHEN_IMPORTED:
                importlib.import_module(found.name)
    waiting = StrongroomError.__subclasses__()
    while waiting:
        each = waiting.pop()
        waiting += each.__subclasses__()
        yield each


def test_what_it_says_is_the_message_and_the_remedy_behind_it() -> None:
    error = ConfigError("cache.max_age_s is 0", remedy="use at least 1")
    assert (error.message, error.remedy, error.exit_code) == ("cache.max_age_s is 0", "use at least 1", 1)
    assert str(error) == "cache.max_age_s is 0 (use at least 1)"
    assert str(ConfigError("it broke")) == "it broke"


def test_each_says_what_it_means_and_none_ends_a_command_as_if_all_were_well() -> None:
    found = {each for each in all_errors() if not each.__module__.startswith("tests.")}
    assert len(found) > 80
    for each in found:
        assert each.__doc__, each
        assert each.__doc__ != StrongroomError.__doc__, each
        assert each.exit_code in (1, 2, 130), each


def test_two_errors_of_one_name_are_not_told_apart_by_scripts() -> None:
    names = [each.__name__ for each in all_errors() if each.__module__.startswith("client")]
    assert len(set(names)) == len(names)


def test_a_message_is_needed() -> None:
    with pytest.raises(TypeError):
        StrongroomError()  # type: ignore[call-arg]
