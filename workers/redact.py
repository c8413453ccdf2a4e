"""What may be said in public about a task: nothing of its arguments, nothing of the text of its errors."""

import traceback
from typing import Any

# Shown instead of arguments by events, logs and Flower.
SEALED = "sealed"
MAX_CAUSES = 8
MAX_FRAMES = 8


def sealed_options() -> dict[str, Any]:
    """Options of a Celery message that say nothing about its arguments or its sender."""
    return {
        "argsrepr": SEALED,
        "kwargsrepr": "{}",
        # Celery would write the process id and the host's name.
        "headers": {"origin": SEALED},
        "ignore_result": True,
    }


def frames_only(error: BaseException) -> str:
    """The class of an error and of its causes, and where they were raised: no message, line or value.

    The name of a module that could not be imported is told too: it is ours, and explains the error.
    """
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None and len(parts) < MAX_CAUSES:
        stack = traceback.extract_tb(current.__traceback__, limit=-MAX_FRAMES)
        where = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(stack))
        name = type(current).__name__
        if isinstance(current, ImportError) and current.name:
            name += f"({current.name})"
        parts.append(f"{name} at {where or '?'}")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "; from ".join(parts)
