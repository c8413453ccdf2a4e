"""Reports: what a worker process tells the scheduler about a job, signed, free of names."""

import msgspec

REPORT_VERSION = 1

ALIVE = "alive"
"""The job is being worked on; extends its lease."""
PLANNED = "planned"
"""The plan stands; `segments` says how many segments it has."""
SEGMENT = "segment"
"""Segment number `segment` is done."""
READY = "ready"
"""Every segment of the plan that counts is done, also those of earlier attempts: the backup can be committed."""
DONE = "done"
"""The job is done; `outcome` is a sealed note for the requester."""
FAILED = "failed"
"""The job failed; for good unless `retryable`."""
KINDS = (ALIVE, PLANNED, SEGMENT, READY, DONE, FAILED)


class Report(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Signed by the process (`ProcessSigned`, domain REPORT) of the role that the job's ticket names."""

    version: int
    id: bytes
    """Random, 16 bytes: a report that arrives twice counts once."""
    job: bytes
    fence: int
    role: str
    kind: str
    segments: int
    segment: int
    files: int
    byte_count: int
    kms_calls: int
    """KMS calls since this process's last report of the job."""
    code: str
    retryable: bool
    outcome: bytes
    """An encoded `ProcessSigned` note; empty but for `done` and `failed`."""
