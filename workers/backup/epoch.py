"""Which epoch a backup seals in: the newest, until it is too old; then a new one with a key of its own."""

from crypto.keyrecord import DEK
from crypto.ticket import GENERATE
from repository.errors import ObjectMissing
from repository.vault import epochs, read_key_record
from workers.backup.session import BackupSession
from workers.process import now_ms

DAY_MS = 24 * 60 * 60 * 1000


def open_epoch(session: BackupSession, max_age_days: float) -> int:
    """The epoch to seal in, generated first if the newest one is over its age.

    Raises:
        ObjectMissing: the repository has no keys.
        KeyRefused, KeyBrokerSilent: there is no key to be had.
    """
    known = epochs(session.store)
    if not known:
        raise ObjectMissing(
            "the repository has no keys", remedy="check the vault's repository, or restore its folder keys/"
        )
    newest = known[-1]
    record = read_key_record(session.store, session.vault, DEK, newest)
    if now_ms() - record.created_ms <= max_age_days * DAY_MS:
        return newest
    session.keys.create(session.store, DEK, newest + 1, GENERATE)
    return newest + 1
