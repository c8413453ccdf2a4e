"""When known files are better left in the stream."""

from repository.cache.files import Extent
from workers.backup.replay import Replay

CHUNK = 1000
SIZE = 90


def extents(at: int) -> list[Extent]:
    """Of a file at this place of a stream that was cut into chunks of 1000 bytes."""
    first, last = at // CHUNK, (at + SIZE - 1) // CHUNK
    if first == last:
        return [Extent(bytes([first]), CHUNK, at % CHUNK, SIZE)]
    head = CHUNK - at % CHUNK
    return [Extent(bytes([first]), CHUNK, at % CHUNK, head), Extent(bytes([last]), CHUNK, 0, SIZE - head)]


def test_files_with_their_former_neighbours_go_on_after_enough_bytes_between_them() -> None:
    replay = Replay(again=False, worth=100)
    # Ten bytes of unknown files before each of them, as before: also across the end of a chunk.
    found = [replay.goes_on(extents(at), at + SIZE + 7) for at in range(500, 2500, SIZE + 10)]
    assert found == [number >= 10 for number in range(20)]


def test_files_from_here_and_there_do_not() -> None:
    replay = Replay(again=False, worth=100)
    assert not any(
        replay.goes_on(extents(at), number * (SIZE + 60) + SIZE)
        for number, at in enumerate([500, 100, 3000, 2000, 500, 7000])
    )


def test_it_ends_with_a_file_from_elsewhere() -> None:
    replay = Replay(again=False, worth=50)
    found = [replay.goes_on(extents(at), at + SIZE) for at in range(500, 1400, SIZE + 10)]
    assert found[-1]
    assert not replay.goes_on(extents(7000), 2000)
    assert not replay.goes_on(extents(7000 + SIZE + 10), 2000 + SIZE + 10)


def test_known_files_without_any_between_them_are_taken_out() -> None:
    replay = Replay(again=False, worth=1)
    assert not any(replay.goes_on(extents(at), at + SIZE + 7) for at in range(500, 2000, SIZE))


def test_what_is_read_again_stays_in_the_stream_while_it_comes_as_it_did() -> None:
    replay = Replay(again=True)
    assert all(replay.goes_on(extents(at), at + SIZE) for at in range(500, 2500, SIZE + 10))
    assert not replay.goes_on(extents(7000), 3000)
    assert not replay.goes_on(extents(7000 + SIZE), 3000 + SIZE)
    assert not Replay(again=True).goes_on(extents(500), 501 + SIZE)


def test_a_stream_that_begins_as_it_began_before_is_in_step_at_once() -> None:
    assert Replay(again=False, worth=500).goes_on(extents(500), 500 + SIZE)
    assert not Replay(again=False, worth=500).goes_on(extents(500), 500 + SIZE + 1)
