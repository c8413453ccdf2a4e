"""One opener process: takes parcels from the delivery area, opens them, and has their files written."""

import gc
import signal
from multiprocessing.connection import Connection
from typing import NamedTuple

from client.restore.messages import Answer, EndSegment, Order, Take, Took, decode_order, encode
from client.restore.parcels import ParcelOpener
from client.restore.target import Target
from config.errors import StrongroomError
from config.hardening import die_with_parent, harden_process
from config.settings import StoreSettings
from crypto.hpke import HpkeKey
from crypto.registry import Registry


class OpenerTask(NamedTuple):
    """What an opener has to know; inherited by fork, never written anywhere."""

    registry: Registry
    opening: HpkeKey
    job: bytes
    delivery: str
    target: Target
    strip: bytes
    store: StoreSettings = StoreSettings()


def run_opener(pipe: Connection, task: OpenerTask, parent: int) -> None:
    """Follow the orders in `pipe` until its other end is closed.

    Args:
        parent: process id of the command; the opener dies with it.
    """
    die_with_parent(parent)
    harden_process()
    # Ctrl-C reaches the whole terminal group: what happens then is the command's to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Pieces are many and hold no cycles; looking for some would cost more than the pieces themselves.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    opener = _Opener(task)
    try:
        while True:
            pipe.send_bytes(encode(opener.answer(decode_order(pipe.recv_bytes()))))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        opener.close()  # the command has closed its end: it needs nothing more


class _Opener:
    def __init__(self, task: OpenerTask) -> None:
        self._parcels = ParcelOpener(task.registry, task.opening, task.job, task.delivery, task.store)
        self._assembler = task.target.assembler(task.strip)

    def close(self) -> None:
        self._assembler.close()

    def answer(self, order: Order) -> Answer:
        if isinstance(order, EndSegment):
            return self._assembler.end_segment(order.segment)
        try:
            files, byte_count = self._take(order)
        except StrongroomError as error:
            return Took(order.segment, order.sequence, 0, 0, error.message or type(error).__name__)
        return Took(order.segment, order.sequence, files, byte_count, "")

    def _take(self, order: Take) -> tuple[int, int]:
        segment, sequence = order.segment, order.sequence
        parcel = self._parcels.open(segment, sequence, order.heard_ms, order.snapshot)
        written = self._assembler.take(segment, parcel)
        self._parcels.remove(segment, sequence)
        return written
