import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import canonical
from crypto.errors import HeaderMismatch, Malformed
from crypto.keyrecord import CHUNK_ID, DEK, MAX_RECORD, KeyRecord, encryption_context
from tests.crypto.world import damaged

TENANT, VAULT = b"t" * 16, b"v" * 16
RECORD = KeyRecord(1, TENANT, VAULT, DEK, 3, "local-kms://main", "m1", b"blob", 1_800_000_000_000)
DATA = canonical.encode(RECORD)
SCOPE = st.tuples(
    st.sampled_from((TENANT, VAULT)),
    st.sampled_from((TENANT, VAULT)),
    st.sampled_from((DEK, CHUNK_ID)),
    st.integers(0, 2**32 - 1),
)


@given(damaged(DATA) | st.binary(max_size=200))
def test_damaged_record_is_refused_or_says_something_else(data: bytes) -> None:
    try:
        record = canonical.decode(KeyRecord, data, limit=MAX_RECORD)
    except Malformed:
        return
    assert record != RECORD


@pytest.mark.parametrize(
    "change",
    [
        {"version": 0},
        {"version": 2},
        {"tenant": VAULT},
        {"vault": TENANT},
        {"tenant": VAULT, "vault": TENANT},
        {"purpose": CHUNK_ID},
        {"epoch": 2},
        {"epoch": 4},
        {"epoch": -3},
    ],
)
def test_record_of_another_vault_purpose_epoch_or_version_is_refused(change: dict[str, int | str]) -> None:
    RECORD.require(TENANT, VAULT, DEK, 3)
    with pytest.raises(HeaderMismatch):
        msgspec.structs.replace(RECORD, **change).require(TENANT, VAULT, DEK, 3)


@given(SCOPE, SCOPE)
def test_two_scopes_never_share_an_encryption_context(
    one: tuple[bytes, bytes, str, int], two: tuple[bytes, bytes, str, int]
) -> None:
    assert (one == two) == (encryption_context(*one) == encryption_context(*two))


def test_encryption_context_is_what_stored_blobs_are_bound_to() -> None:
    """Changing any of it makes every stored key unreadable."""
    assert encryption_context(TENANT, VAULT, DEK, 3) == {
        "service": "strongroom",
        "tenant": "74" * 16,
        "vault": "76" * 16,
        "purpose": "dek",
        "epoch": "3",
        "version": "1",
    }
