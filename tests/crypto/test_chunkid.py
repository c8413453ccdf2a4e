import os

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from crypto.chunkid import ChunkIds, FileNames
from crypto.errors import KeyWiped
from crypto.secret import SecretKey

MATERIAL = bytes(range(32))


def test_ids_are_fixed_for_all_time() -> None:
    ids = ChunkIds(SecretKey(MATERIAL))
    key = blake3(MATERIAL, derive_key_context="strongroom 2026 chunk ids v1").digest()
    assert ids.name(b"chunk") == blake3(b"chunk", key=key).digest()
    assert ids.name(b"chunk").hex() == "20f8e94c19fa507c3fe04979c79a2303cef4a1cf49b1bb1cfffc9287fe76d651"
    assert ids.seed == 309737295958172926


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_equal_chunks_and_only_they_have_equal_ids(one: bytes, two: bytes) -> None:
    ids, same_vault = ChunkIds(SecretKey(MATERIAL)), ChunkIds(SecretKey(MATERIAL))
    assert (ids.name(one) == same_vault.name(memoryview(two))) == (one == two)


def test_another_vault_has_other_ids_and_boundaries() -> None:
    one, two = (ChunkIds(SecretKey(os.urandom(32))) for _ in range(2))
    assert one.name(b"chunk") != two.name(b"chunk")
    assert one.seed != two.seed


def test_onlooker_without_the_key_cannot_name_a_chunk() -> None:
    named = ChunkIds(SecretKey(MATERIAL)).name(b"guess")
    assert named not in (blake3(b"guess").digest(), blake3(b"guess", key=MATERIAL).digest())


def test_wiped_ids_name_nothing() -> None:
    ids = ChunkIds(SecretKey(MATERIAL))
    ids.wipe()
    assert ids.seed == 0
    with pytest.raises(KeyWiped):
        ids.name(b"chunk")


def test_ids_are_not_made_from_a_wiped_key() -> None:
    key = SecretKey(MATERIAL)
    key.wipe()
    with pytest.raises(KeyWiped):
        ChunkIds(key)


def test_ids_do_not_end_with_the_key_they_came_from() -> None:
    key = SecretKey(MATERIAL)
    ids = ChunkIds(key)
    before = ids.name(b"chunk")
    key.wipe()
    assert ids.name(b"chunk") == before


def test_names_of_files_are_fixed_for_all_time() -> None:
    names = FileNames(SecretKey(MATERIAL))
    key = blake3(MATERIAL, derive_key_context="strongroom 2026 file names v1").digest()
    digest = blake3(b"content").digest()
    name = names.name(digest, 7)
    assert name == blake3(b"name" + digest + (7).to_bytes(8, "big"), key=key).digest(16)
    assert names.proof(name, b"said") == blake3(b"said" + name + b"said", key=key).digest(8)


def test_a_file_has_another_name_in_another_vault_and_none_without_its_key() -> None:
    digest = blake3(b"content").digest()
    one, two = (FileNames(SecretKey(os.urandom(32))) for _ in range(2))
    assert one.name(digest, 7) != two.name(digest, 7)
    assert one.name(digest, 7) != one.name(digest, 8)
    assert one.name(digest, 7)[:8] not in digest
    assert one.proof(one.name(digest, 7), b"") != two.proof(one.name(digest, 7), b"")


def test_wiped_names_name_nothing() -> None:
    names = FileNames(SecretKey(MATERIAL))
    names.wipe()
    with pytest.raises(KeyWiped):
        names.name(bytes(32), 1)
    with pytest.raises(KeyWiped):
        names.proof(bytes(16), b"")
