"""A vault whose CMK is in AWS KMS: the real stack, boto3, TLS, the delivered policies, the strict fake at the end."""

import itertools
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from config import queues
from config.home import Home
from crypto import canonical, ticket
from crypto.certificate import ProcessKeys
from crypto.identity import Identity
from crypto.keyrecord import DEK, KeyRecord
from crypto.keyrequest import REQUEST_VERSION, KeyReply, KeyRequest, Want
from crypto.registry import BACKUP, KEY_BROKER, SCHEDULER, Registry, VaultEntry
from crypto.signing import Domain, Signed, verify
from crypto.ticket import Ticket
from tests.aws.delivered import Delivered, environment
from tests.aws.pki import make_pki
from tests.aws.server import FakeAws
from tests.whole.broker import Intruder
from tests.whole.room import Strongroom, left_tidy, make_tree, read_tree, wait_for
from tests.workers.test_poison import body, message
from workers.key_broker.audit import GRANTED, Entry
from workers.process import now_ms

CACHE_AGE_S = 2
UNGUARDED = """
import crypto.ticket as tickets
from crypto import signing
from crypto.signing import Domain


def verify(registry, signed, now_ms):
    enrolled = registry.identity(signed.signer)
    return signing.verify(enrolled.sign_public, Domain.TICKET, signed, tickets.Ticket)


tickets.verify = verify
"""
"""Loaded by every Python process of the stack: the ticket check is off, the tenant's above all."""


@dataclass(frozen=True)
class Place:
    """An installation with one vault `v` under a CMK of AWS."""

    room: Strongroom
    aws: FakeAws
    delivered: Delivered
    folder: Path

    @property
    def home(self) -> Home:
        return Home(self.room.home)

    @property
    def repo(self) -> Path:
        return self.folder / "repo"

    def registry(self) -> Registry:
        return Registry.decode(self.home.registry_file.read_bytes())

    def identity(self, role: str) -> Identity:
        return Identity.decode((self.home.identities / role).read_bytes())

    def audit(self) -> list[Entry]:
        with sqlite3.connect(f"file:{self.home.broker_db}?mode=ro", uri=True) as database:
            rows = database.execute("SELECT body FROM audit ORDER BY seq").fetchall()
        database.close()
        return [msgspec.json.decode(row[0], type=Entry) for row in rows]


@pytest.fixture(params=[""], ids=["as it is"])
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """Parametrise with UNGUARDED to have it loaded into every process."""
    ca, certificate, key = make_pki(tmp_path)
    aws = FakeAws((certificate, key))
    room = Strongroom(tmp_path / "home", STRONGROOM_CACHE_MAX_AGE_S=str(CACHE_AGE_S))
    if request.param:
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(request.param)
        room.environment["PYTHONPATH"] = os.pathsep.join(
            (str(tmp_path / "site"), os.environ.get("PYTHONPATH", ""))
        )
    try:
        with left_tidy(room):
            tenant = bytes.fromhex(room.json("init")["tenant"])
            delivered = Delivered(aws, tenant)
            room.environment |= environment(delivered.host("key-broker"), tmp_path)
            settings = delivered.settings() | {"aws_ca_file": str(ca), "aws_read_timeout_s": 5}
            room.environment |= {f"STRONGROOM_KMS_{name.upper()}": str(v) for name, v in settings.items()}
            uri = f"aws-kms://{delivered.a.key.arn}"
            room.run("vault", "create", "v", "--repo", f"file://{tmp_path}/repo", "--kms", uri)
            yield Place(room, aws, delivered, tmp_path)
    finally:
        aws.close()


def test_backup_and_restore_under_a_cmk_of_aws(place: Place) -> None:
    room, source = place.room, place.folder / "source"
    content = make_tree(source)
    made = room.json("backup", "v", source)
    assert made["kms_calls"] > 0
    target = place.folder / "target"
    room.run("restore", "v", f"latest:{source}", "--target", target)
    assert read_tree(target) == content
    room.run("check", "v", "--read-data")
    # The key records name the CMK and the material that wrapped them.
    for file in (place.repo / "keys").iterdir():
        record = canonical.decode(KeyRecord, file.read_bytes())
        assert (record.key_id, record.material_id) == (
            place.delivered.a.key.arn,
            place.delivered.a.key.material.current,
        )
    # Every call was made in the tenant's session, and our audit log names each by AWS's own id for it.
    events = [event for event in place.aws.events if event.operation != "AssumeRole"]
    session = f"-{place.delivered.a.tenant[:4].hex()}"
    assert {event.operation for event in events} == {"DescribeKey", "GenerateDataKey", "Decrypt"}
    assert all(event.principal.endswith(session) and not event.error for event in events)
    logged = [each for entry in place.audit() if entry.event == GRANTED for each in entry.kms_requests]
    assert sorted(logged) == sorted(event.request_id for event in events)


def test_another_machine_restores_with_repository_and_cmk_alone(place: Place, tmp_path: Path) -> None:
    source = place.folder / "source"
    content = make_tree(source, files=8)
    place.room.run("backup", "v", source)
    other = Strongroom(tmp_path / "other")
    other.environment = place.room.environment | {"STRONGROOM_HOME": str(other.home)}
    with left_tidy(other):
        other.run("init")
        uri = f"aws-kms://{place.delivered.a.key.arn}"
        other.run("vault", "attach", "w", "--repo", f"file://{place.repo}", "--kms", uri)
        target = tmp_path / "target"
        other.run("restore", "w", f"latest:{source}", "--target", target)
        assert read_tree(target) == content


def test_customers_off_switch_within_the_cache_age(place: Place) -> None:
    room, source = place.room, place.folder / "source"
    content = make_tree(source, files=8)
    room.run("up")
    room.run("backup", "v", source)
    snapshot = room.json("snapshots", "v")[-1]["id"]
    place.delivered.a.key.change(state="Disabled")
    targets = (place.folder / f"none{number}" for number in itertools.count())

    def refuses(*command: str | Path) -> bool:
        """Whether the command is refused by now: each process goes on for as long as it may hold a key."""
        done = room.run(*command, code=None)
        if done.returncode == 0:
            return False
        assert "the key is disabled in AWS KMS" in done.stderr
        if "see `strongroom snapshots`" in done.stderr:
            return False  # a backup that began with a key, and had none any more when it came to commit
        assert "enable the key in its KMS" in done.stderr
        assert "arn:" not in done.stderr
        return True

    def backup_refuses() -> bool:
        (source / "new").write_bytes(os.urandom(100))
        return refuses("backup", "v", source)

    wait_for(backup_refuses, 60)
    wait_for(lambda: refuses("restore", "v", "latest", "--target", next(targets)), 60)
    wait_for(lambda: refuses("snapshots", "v"), 60)
    # No process of the role holds a key any more: from now on it is no, every time, and in words for programs.
    time.sleep(CACHE_AGE_S)
    for command in (("restore", "v", "latest", "--target", next(targets)), ("snapshots", "v")) * 3:
        assert room.json(*command, code=1)["code"] == "kms-key-disabled"
    place.delivered.a.key.change(state="Enabled")
    target = place.folder / "target"
    room.run("restore", "v", f"{snapshot}:{source}", "--target", target)
    assert read_tree(target) == content


def test_missing_credentials_are_told_and_no_traceback(place: Place) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        del place.room.environment[name]
    done = place.room.run("snapshots", "v", code=1)
    assert "no AWS credentials" in done.stderr
    assert "profile" in done.stderr


def test_a_kms_that_cannot_be_reached_is_named_while_it_is_waited_for(place: Place) -> None:
    place.aws.go_away()
    asking = place.room.start("snapshots", "v", "--json")
    assert asking.stderr is not None
    told = asking.stderr.readline()
    assert "no key can be had yet: AWS KMS cannot be reached" in told, told
    assert asking.poll() is None
    place.aws.come_back()
    out, more = asking.communicate(timeout=120)
    assert (asking.returncode, json.loads(out)) == (0, []), more


def _asked(place: Place, intruder: Intruder, want: Want, tenant: bytes, vault: bytes) -> KeyReply:
    """What the key-broker answers a stolen backup worker that shows a ticket of a stolen scheduler."""
    issued = ticket.issue(
        place.identity(SCHEDULER),
        Ticket(
            ticket.TICKET_VERSION,
            os.urandom(16),
            os.urandom(16),
            1,
            tenant,
            vault,
            BACKUP,
            (ticket.GENERATE, ticket.DECRYPT),
            bytes(32),
            now_ms(),
            now_ms() + 60_000,
            8,
        ),
    )
    keys, nonce = ProcessKeys(place.identity(BACKUP), BACKUP, now_ms()), os.urandom(16)
    answers = queues.reply_list(BACKUP, nonce)
    request = keys.sign(
        Domain.KEY_REQUEST, KeyRequest(REQUEST_VERSION, issued, (want,), nonce, now_ms(), answers)
    )
    text = canonical.to_text(canonical.encode(request))
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    task = json.dumps(message(queues.KEYS_QUEUE, queues.UNWRAP, body([text], {}, embed))).encode()
    assert intruder.push(queues.KEYS_QUEUE, task)
    answer = intruder.redis.blpop(answers, 20)
    assert answer is not None, place.room.logs()
    signed = canonical.decode(Signed, answer[1])
    return verify(place.identity(KEY_BROKER).sign_public, Domain.KEY_REPLY, signed, KeyReply)


@pytest.mark.parametrize("place", [UNGUARDED], indirect=True, ids=["check of tickets off"])
def test_session_tag_stops_one_tenants_ticket_for_anothers_vault(place: Place) -> None:
    """Scheduler and worker stolen, the ticket check off in every process: AWS still says no."""
    a, b = place.delivered.a, place.delivered.b
    entry = VaultEntry(b.vault, b.tenant, "b", "file:///nowhere", f"aws-kms://{b.key.arn}")
    place.home.registry_file.write_bytes(place.registry().with_vault(entry).encode())
    place.room.run("up")
    intruder = Intruder(place.room.home)
    make = Want(ticket.GENERATE, DEK, 1, b"")
    own = _asked(place, intruder, make, b.tenant, b.vault)
    assert own.refusal is None
    record = canonical.decode(KeyRecord, own.given[0].record)
    forged = canonical.encode(msgspec.structs.replace(record, tenant=a.tenant))
    for want in (make, Want(ticket.DECRYPT, DEK, 1, forged)):
        reply = _asked(place, intruder, want, a.tenant, b.vault)
        assert (reply.given, reply.refusal and reply.refusal.code) == ((), "kms-access-denied")
        denied = place.aws.events[-1]
        assert denied.error == "AccessDeniedException"
        assert denied.principal.endswith(a.tenant[:4].hex())
        assert denied.request["EncryptionContext"]["tenant"] == b.tenant.hex()
    # Control: it is the policies that stopped it.
    place.delivered.open_everything()
    stolen = _asked(place, intruder, Want(ticket.DECRYPT, DEK, 1, forged), a.tenant, b.vault)
    assert stolen.refusal is None
    assert len(stolen.given) == 1
