"""The tree of errors as the docstring of an errors module draws it, and as its classes make it."""

import inspect
import re
from types import ModuleType

_LINE = re.compile(r"((?:[│├└─ ]{4})*)([A-Z][A-Za-z]+)( {2,}\S.*)?")


def drawn(module: ModuleType) -> dict[str, str]:
    """Each class of the drawing with the one that it hangs from; the root hangs from nothing."""
    above: list[str] = []
    found = {}
    for line in (module.__doc__ or "").splitlines():
        match = _LINE.fullmatch(line)
        if match is not None:
            del above[len(match[1]) // 4 :]
            found[match[2]] = above[-1] if above else ""
            above.append(match[2])
    return found


def made(module: ModuleType) -> dict[str, str]:
    """The same of the module's classes."""
    classes = [
        each for _, each in inspect.getmembers(module, inspect.isclass) if each.__module__ == module.__name__
    ]
    return {each.__name__: each.__base__.__name__ if each.__base__ in classes else "" for each in classes}
