import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import canonical, notes, report
from crypto.certificate import ProcessKeys, ProcessSigned, verify_process
from crypto.errors import CryptoError, Untrusted
from crypto.hpke import HpkeKey
from crypto.identity import Identity
from crypto.registry import BACKUP, ROLES, Registry
from crypto.report import REPORT_VERSION, Report
from crypto.signing import Domain
from tests.crypto.world import NOW, World, damaged, enrol

HOST = Identity.generate("backup")
REGISTRY = Registry(identities=(enrol(HOST, BACKUP),))
PROCESS = ProcessKeys(HOST, BACKUP, NOW)
REPORT = Report(
    REPORT_VERSION, b"i" * 16, b"j" * 16, 2, BACKUP, report.SEGMENT, 9, 4, 100, 1 << 40, 1, "", False, b""
)
SIGNED = PROCESS.sign(Domain.REPORT, REPORT)


def read(signed: ProcessSigned, registry: Registry = REGISTRY) -> Report:
    return verify_process(registry, notes.WORKERS, Domain.REPORT, signed, Report, NOW)[1]


def test_report_reaches_the_scheduler() -> None:
    assert read(SIGNED) == REPORT


@pytest.mark.parametrize("role", [role for role in ROLES if role not in notes.WORKERS])
def test_only_workers_report(world: World, role: str) -> None:
    with pytest.raises(Untrusted):
        read(world.process(role).sign(Domain.REPORT, REPORT), world.registry)


@pytest.mark.parametrize("field", Report.__struct_fields__)
def test_every_field_is_signed(field: str) -> None:
    value = getattr(REPORT, field)
    other = (
        not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else value + value[:1]
    )
    if other == value:
        other = value + type(value)(b"x" if isinstance(value, bytes) else "x")
    body = canonical.encode(msgspec.structs.replace(REPORT, **{field: other}))
    with pytest.raises(Untrusted):
        read(ProcessSigned(SIGNED.certificate, msgspec.structs.replace(SIGNED.message, body=body)))


@given(damaged(canonical.encode(SIGNED)) | st.binary(max_size=200))
def test_altered_report_is_refused(data: bytes) -> None:
    with pytest.raises(CryptoError):
        read(canonical.decode(ProcessSigned, data))


def test_note_is_no_report_and_report_no_note() -> None:
    requester = HpkeKey.generate()
    note = notes.write_note(PROCESS, BACKUP, REPORT.job, requester.public, notes.Planned(1, 2, 3))
    with pytest.raises(Untrusted):
        read(note)
    with pytest.raises(Untrusted):
        notes.read_note(REGISTRY, SIGNED, REPORT.job, requester, NOW)


def test_kinds_are_told_apart() -> None:
    assert len(set(report.KINDS)) == len(report.KINDS) == 6
