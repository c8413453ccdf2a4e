"""What a restore says to its workers, at a real broker."""

from pathlib import Path

from client.broker import Publisher
from client.restore.following import KEPT, LIFE_MS, Following
from config.queues import HERE, LEFT, taken_key
from config.settings import Settings
from tests.client.scripted import World, running_server

JOB = bytes(range(16))


def told(world: World) -> dict[bytes, bytes]:
    with world.server.admin() as admin:
        found: dict[bytes, bytes] = admin.hgetall(taken_key(JOB))
        assert not found or 0 < admin.pttl(taken_key(JOB)) <= LIFE_MS
    return found


def test_what_is_new_is_said_at_once_and_nothing_without_news(world: World) -> None:
    following = Following(world.session.publisher, JOB)
    following.took(3, 1)
    assert told(world) == {}
    following.tell()
    assert told(world) == {HERE.encode(): b"1", b"3": b"1"}
    with world.server.admin() as admin:
        admin.delete(taken_key(JOB))
    following.tell()
    assert told(world) == {}, "it was said a moment ago, and there is no news"
    following.took(3, 2)
    following.tell()
    following.leave()
    assert told(world) == {HERE.encode(): LEFT, b"3": b"2"}


def test_only_so_many_segments_are_remembered_the_newest(world: World) -> None:
    following = Following(world.session.publisher, JOB)
    for segment in range(KEPT + 5):
        following.took(segment, 1)
    following.tell()
    assert set(told(world)) == {HERE.encode(), *(b"%d" % segment for segment in range(5, KEPT + 5))}


def test_what_a_broker_that_is_away_did_not_hear_is_said_again(tmp_path: Path) -> None:
    with running_server() as own:
        publisher = Publisher(own.url, Settings())
        following = Following(publisher, JOB)
        following.took(1, 1)
        own.stop()
        following.tell()
        following.leave()
        own.start()
        following.tell()
        with own.admin() as admin:
            assert admin.hgetall(taken_key(JOB)) == {HERE.encode(): b"1", b"1": b"1"}
        publisher.close()
