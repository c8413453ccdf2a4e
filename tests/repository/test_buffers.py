"""Scratch memory is zero, private, in no core dump, and used again."""

import ctypes
import os
import re
from pathlib import Path

import pytest

from repository.buffers import Reused, scratch

MIB = 1 << 20


def test_it_is_zero_and_writable() -> None:
    memory = scratch(MIB + 1)
    assert (len(memory), memory.readonly) == (MIB + 1, False)
    assert not any(memory[:: MIB // 7])


def flags_of(address: int) -> list[str]:
    """What the system notes on the mapping that holds the address."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        bounds = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
        if bounds:
            inside = int(bounds[1], 16) <= address < int(bounds[2], 16)
        elif inside and line.startswith("VmFlags:"):
            return line.split()[1:]
    raise AssertionError("there is no such mapping")


def test_it_is_in_no_core_dump() -> None:
    memory = scratch(4 * MIB)
    assert "dd" in flags_of(ctypes.addressof(ctypes.c_char.from_buffer(memory)))


def test_a_child_writes_into_a_copy() -> None:
    memory = scratch(MIB)
    memory[0] = 1
    child = os.fork()
    if child == 0:
        memory[0] = 2
        os._exit(memory[0])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert memory[0] == 1


@pytest.mark.parametrize("second", [1, 2 * MIB])
def test_the_same_memory_is_taken_again_while_it_is_large_enough(second: int) -> None:
    reused = Reused()
    first = reused.take(MIB)
    first[0] = 7
    again = reused.take(second)
    assert (len(again), again[0]) == (second, 7)
    larger = reused.take(2 * MIB + 1)
    assert (len(larger), larger[0]) == (2 * MIB + 1, 0)
