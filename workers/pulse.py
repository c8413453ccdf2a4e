"""Signs of life of a role that runs by itself: to systemd over its socket, to a container's health check by a file.

What people see of it from other hosts is `workers.sign`.
"""

import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from config.home import OWNER_ONLY_FILE

logger = logging.getLogger(__name__)

BEAT_S: Final = 5.0
"""Between two signs, while the role is connected to its broker."""
NOTIFY_VARIABLE: Final = "NOTIFY_SOCKET"


class Pulse:
    """The pulse of this process.

    Args:
        file: touched at every beat; whoever finds it older than a few beats knows that the role is stuck.
        tell: called at every beat; must not raise. None: nobody else is told.
    """

    def __init__(self, file: Path, tell: Callable[[], None] | None = None) -> None:
        self._file = file
        self._tell_others = tell
        self._address = os.environ.get(NOTIFY_VARIABLE, "")
        file.unlink(missing_ok=True)

    def ready(self) -> None:
        """Say that the role serves."""
        self.beat()
        self._tell(b"READY=1")  # last: what systemd starts afterwards may look for the sign
        logger.info("ready")

    def beat(self) -> None:
        """Say that the role is alive."""
        self._tell(b"WATCHDOG=1")
        try:
            os.close(os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY_FILE))
            os.utime(self._file)
        except OSError as error:
            logger.warning("no sign of life in %s: %s", self._file.name, error.strerror)
        if self._tell_others is not None:
            self._tell_others()

    def _tell(self, state: bytes) -> None:
        """sd_notify(3) in two lines; a leading @ is the abstract namespace."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                notify.sendto(state, address)
        except OSError as error:
            logger.warning("systemd does not take a notification: %s", error.strerror)
