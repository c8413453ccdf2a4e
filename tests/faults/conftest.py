"""What the tests of broken installations share."""

from tests.whole.room import kept, room, stack

__all__ = ["kept", "room", "stack"]
