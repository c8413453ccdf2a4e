"""What is told about an error tells nothing of its text."""

import importlib

import pytest

from workers.redact import SEALED, frames_only, sealed_options


def provoke() -> Exception:
    try:
        try:
            raise KeyError("/home/alice")
        except KeyError as error:
            raise ValueError("secret of alice") from error
    except ValueError as error:
        return error


def test_classes_and_places_and_nothing_else() -> None:
    told = frames_only(provoke())
    assert "alice" not in told
    assert told.startswith("ValueError at provoke:")
    assert "from KeyError at provoke:" in told


def test_a_missing_module_is_named() -> None:
    with pytest.raises(ImportError) as missing:
        importlib.import_module("no_such_module")
    assert "no_such_module" in frames_only(missing.value)


def test_the_options_replace_what_celery_would_tell() -> None:
    assert sealed_options()["argsrepr"] == SEALED
    assert sealed_options()["headers"] == {"origin": SEALED}
