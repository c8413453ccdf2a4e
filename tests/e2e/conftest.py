"""What the tests of the installed command share."""

from tests.whole.room import kept, room, stack

__all__ = ["kept", "room", "stack"]
