"""The readers that LMDB knows of: those that died are cleared, and one that died in a read is a bad sign."""

import lmdb

_IDLE = "-"


def died_while_reading(env: lmdb.Environment) -> bool:
    """Clear the slots of dead processes; whether one of them died between the beginning and the end of a read.

    A read of a damaged page can kill a process. Whoever opens the environment next must not die of it, too.
    """
    before = _slots(env)
    if not env.reader_check():
        return False
    return any(txn != _IDLE for _, txn in before - _slots(env))


def _slots(env: lmdb.Environment) -> set[tuple[str, str]]:
    """(process and thread, transaction or "-") of each slot that is taken."""
    lines = [line.split() for line in env.readers().splitlines()]
    return {(f"{words[0]} {words[1]}", words[2]) for words in lines if len(words) == 3 and words[0].isdigit()}
