"""The fake AWS as an HTTP(S) server: KMS in the JSON 1.1 protocol and STS in the query protocol, on one port.

Region and service are what the signature's scope says, as AWS's endpoints each have one. Faults are scripted for each
operation; the record of requests is what CloudTrail would hold: no plaintext, no ciphertext.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.aws import sts
from tests.aws.iam import Iam
from tests.aws.keys import KeyRing
from tests.aws.kms import Answer, FakeKms
from tests.aws.policy import Caller, PolicyError
from tests.aws.sigv4 import AwsRefusal, HttpRequest, claimed, verify

MAX_BODY = 1 << 20
_TARGET = "TrentService."


@dataclass(frozen=True)
class Fault:
    """What happens to one request in place of, or on top of, its answer.

    Attributes:
        code, status: answer with this error.
        hold: wait until the server is let go (`FakeAws.let_go`), then answer.
        drop: close the connection without an answer.
        cut: close it in the middle of the answer.
        body: answer with these bytes and status 200.
        alter: change the answer.
    """

    code: str = ""
    status: int = 400
    hold: bool = False
    drop: bool = False
    cut: bool = False
    body: bytes | None = None
    alter: Callable[[Answer], Answer] | None = None


NO_FAULT = Fault()
DROP, CUT, HOLD = Fault(drop=True), Fault(cut=True), Fault(hold=True)
THROTTLE = Fault("ThrottlingException")


@dataclass(frozen=True)
class Event:
    """One request, as CloudTrail has it."""

    operation: str
    region: str
    principal: str
    request_id: str
    error: str
    request: dict[str, Any] = field(default_factory=dict)


class Clock:
    """Seconds since epoch, and as much later as a test says."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead

    def pass_days(self, days: float) -> None:
        self.ahead += days * 86_400


class FakeAws:
    """A running fake. Close it in the end.

    Args:
        tls: certificate and key (PEM) for HTTPS; None for HTTP.
        address, port: where it listens; port 0: any that is free.
    """

    def __init__(
        self, tls: tuple[Path, Path] | None = None, address: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.clock = Clock()
        """Of the keys: deletions, rotations, and how changes spread."""
        self.session_clock = Clock()
        """Of the sessions: when they expire."""
        self.keys = KeyRing(self.clock)
        self.iam = Iam(self.session_clock)
        self.events: list[Event] = []
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._kms = FakeKms(self.keys, self.clock)
        self._released = threading.Event()
        fake = self

        class Handler(_Handler):
            aws = fake

        self._handler, self._tls = Handler, tls
        self._listen((address, port))
        self.url = f"{'https' if tls else 'http'}://{address}:{self._place[1]}"

    def _listen(self, place: tuple[str, int]) -> None:
        self._server = _Server(place, self._handler)
        self._place = place[0], int(self._server.server_address[1])
        if self._tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._tls)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def go_away(self) -> None:
        """Take no connections, until it comes back."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def come_back(self) -> None:
        """Serve again, in the same place, with what it had."""
        self._listen(self._place)

    def script(self, operation: str, *faults: Fault) -> None:
        """What will happen to the next requests for an operation, one each."""
        self._faults[operation].extend(faults)

    def let_go(self) -> None:
        """Let held requests go on."""
        self._released.set()

    def close(self) -> None:
        """Stop serving."""
        self.let_go()
        if self._thread.is_alive():
            self.go_away()

    def of(self, operation: str) -> list[Event]:
        """The requests for one operation so far."""
        return [event for event in self.events if event.operation == operation]

    def fault(self, operation: str) -> Fault:
        """What happens to this request."""
        waiting = self._faults[operation]
        return waiting.popleft() if waiting else NO_FAULT

    def wait_held(self) -> None:
        """Wait as a held request does."""
        self._released.wait(30)

    def serve(self, request: HttpRequest, request_id: str) -> tuple[tuple[int, str, bytes], Fault]:
        """The status, content type and body of an answer, and the fault that goes with it."""
        operation = request.headers.get("x-amz-target", "").removeprefix(_TARGET) or "AssumeRole"
        is_kms = request.headers.get("x-amz-target", "").startswith(_TARGET)
        fault = self.fault(operation)
        if fault.hold:
            self.wait_held()
        try:
            if fault.code:
                raise AwsRefusal(fault.code, f"scripted {fault.code}", fault.status)
            caller, region = self._authenticate(request, "kms" if is_kms else "sts")
        except AwsRefusal as refused:
            self._note(operation, "", "", request_id, refused.code, request)
            return _refusal(refused, request_id, is_kms=is_kms), fault
        if fault.body is not None:
            self._note(operation, region, caller.session_arn, request_id, "", request)
            return (200, "application/x-amz-json-1.1", fault.body), fault
        try:
            if is_kms:
                answer = self._kms.answer(operation, caller, region, request.body)
                if fault.alter is not None:
                    answer = fault.alter(answer)
                body, kind = json.dumps(answer).encode(), "application/x-amz-json-1.1"
            else:
                body, kind = sts.assume_role(self.iam, caller, request.body, request_id), "text/xml"
        except AwsRefusal as refused:
            self._note(operation, region, caller.session_arn, request_id, refused.code, request)
            return _refusal(refused, request_id, is_kms=is_kms), fault
        self._note(operation, region, caller.session_arn, request_id, "", request)
        return (200, kind, body), fault

    def _authenticate(self, request: HttpRequest, service: str) -> tuple[Caller, str]:
        signature = claimed(request)
        credentials, caller = self.iam.authenticate(
            signature.key_id, request.headers.get("x-amz-security-token", "")
        )
        verify(request, signature, credentials.secret, datetime.now(UTC))
        if signature.service != service:
            raise AwsRefusal("InvalidSignatureException", "Credential should be scoped to correct service")
        return caller, signature.region

    def _note(
        self, operation: str, region: str, principal: str, request_id: str, error: str, request: HttpRequest
    ) -> None:
        try:
            shown = json.loads(request.body)
        except ValueError:
            shown = {"query": request.body.decode(errors="replace")}
        for secret in ("CiphertextBlob", "Plaintext"):
            shown.pop(secret, None)
        self.events.append(Event(operation, region, principal, request_id, error, shown))


def _refusal(refused: AwsRefusal, request_id: str, *, is_kms: bool) -> tuple[int, str, bytes]:
    if is_kms:
        body = json.dumps({"__type": refused.code, "message": refused.message}).encode()
        return refused.status, "application/x-amz-json-1.1", body
    return refused.status, "text/xml", sts.refusal(refused, request_id)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    wbufsize = -1
    """Head and body leave together: apart, the second waits for the client's delayed acknowledgement."""
    aws: FakeAws

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (named so in the standard library)
        """Nothing on stderr."""

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        if length > MAX_BODY:
            self.close_connection = True
            return
        request = HttpRequest(
            "POST",
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(length),
        )
        request_id = str(uuid.uuid4())
        try:
            (status, kind, body), fault = self.aws.serve(request, request_id)
        except PolicyError as error:
            # A policy that cannot be evaluated is the test's own mistake: nothing may seem to work.
            refused = AwsRefusal("KMSInternalException", f"the test's policy: {error}", 500)
            (status, kind, body), fault = _refusal(refused, request_id, is_kms=True), NO_FAULT
        if fault.drop:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-amzn-requestid", request_id)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault.cut else body)
        self.close_connection = self.close_connection or fault.cut
