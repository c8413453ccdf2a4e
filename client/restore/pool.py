"""The opener processes, seen from the command: all parcels of a segment go to one of them, in order."""

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from typing import Final

from client.errors import ClientError
from client.restore.messages import Answer, EndSegment, Order, Took, decode_answer, encode
from client.restore.opener import OpenerTask, run_opener

IN_FLIGHT: Final = 8
"""Orders that an opener may have unanswered: enough to keep it busy, few enough to fit in its pipe, so that neither
side ever waits for the other to read, and to be done soon when the person interrupts."""
STOP_S: Final = 5.0


class OpenerLost(ClientError):
    """An opener process died; what it had not reported on counts as not delivered."""


class _Opener:
    def __init__(self, task: OpenerTask, inherited: list[Connection]) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_main,
            args=(theirs, [*inherited, self.pipe], task, os.getpid()),
            daemon=True,
            name="strongroom-opener",
        )
        self.process.start()
        theirs.close()
        self.waiting: deque[Order] = deque()
        self.unanswered = 0
        self.load = 0


def _main(pipe: Connection, inherited: list[Connection], task: OpenerTask, parent: int) -> None:
    for ours in inherited:  # or nobody would notice when the command closes its ends
        ours.close()
    run_opener(pipe, task, parent)


class OpenerPool:
    """Forks its processes when it is made: before that, no thread and no terminal output may have been started.

    Args:
        task: the same for all of them.
        processes: how many.
    """

    def __init__(self, task: OpenerTask, processes: int) -> None:
        self._openers: list[_Opener] = []
        self._of_segment: dict[int, _Opener] = {}
        for _ in range(processes):
            self._openers.append(_Opener(task, [opener.pipe for opener in self._openers]))

    @property
    def busy(self) -> bool:
        """Whether an answer is due."""
        return any(opener.unanswered or opener.waiting for opener in self._openers)

    def give(self, order: Order) -> None:
        """Pass an order on to the opener of its segment; the first of a segment chooses the least busy one."""
        opener = self._of_segment.get(order.segment)
        if opener is None:
            opener = min(self._openers, key=lambda each: (len(each.waiting) + each.unanswered, each.load))
            self._of_segment[order.segment] = opener
        opener.waiting.append(order)
        opener.load += 1
        self._push(opener)

    def forget_parcels(self) -> None:
        """Take back the parcels that no opener has been told of yet."""
        for opener in self._openers:
            opener.waiting = deque(order for order in opener.waiting if isinstance(order, EndSegment))

    def answers(self, timeout_s: float) -> Iterator[Answer]:
        """What the openers have said by now; waits for the first of it up to `timeout_s`.

        Raises:
            OpenerLost: one of them died.
        """
        for ready in wait([opener.pipe for opener in self._openers], timeout_s):
            opener = next(each for each in self._openers if each.pipe is ready)
            while opener.pipe.poll():
                yield self._receive(opener)

    def close(self) -> None:
        """End the openers: they remove what is unfinished and go. One that does not is killed."""
        for opener in self._openers:
            opener.pipe.close()
        for opener in self._openers:
            opener.process.join(STOP_S)
            if opener.process.is_alive():
                opener.process.kill()
                opener.process.join()

    def _receive(self, opener: _Opener) -> Answer:
        try:
            answer: Answer = decode_answer(opener.pipe.recv_bytes())
        except (EOFError, ConnectionResetError) as error:
            raise OpenerLost(
                "a process that opens parcels died",
                remedy="see whether memory ran out, and restore again into an empty folder",
            ) from error
        opener.unanswered -= 1
        if not isinstance(answer, Took):
            del self._of_segment[answer.segment]
        self._push(opener)
        return answer

    def _push(self, opener: _Opener) -> None:
        try:
            while opener.waiting and opener.unanswered < IN_FLIGHT:
                opener.pipe.send_bytes(encode(opener.waiting.popleft()))
                opener.unanswered += 1
        except (BrokenPipeError, ConnectionResetError) as error:
            raise OpenerLost("a process that opens parcels died", remedy="restore again") from error
