"""Who may do what in AWS: the one table from which every policy file here is generated.

Its rows are in `kms`, `roles` and `buckets`, what they are made of in `statement` and `names`. The rules behind them:
only the key-broker's tenant role can use a CMK, only with the encryption context of the tenant that its session is
tagged with; nobody who can read a repository can use a CMK; nobody but maintenance can delete; no object is ever
written twice.
"""

from __future__ import annotations

from typing import Final

from deploy.iam.buckets import DELIVERY_BUCKET, REPOSITORY_BUCKET
from deploy.iam.kms import (
    CUSTOMER_KEY,
    KEY_BROKER,
    KEY_BROKER_TENANT,
    KEY_BROKER_TENANT_TRUST,
    REWRAP,
    REWRAP_TENANT,
    REWRAP_TENANT_TRUST,
)
from deploy.iam.roles import BACKUP, CLIENT, MAINTENANCE, RESTORE, SCHEDULER
from deploy.iam.statement import Document

DOCUMENTS: Final = (
    Document("key-broker", "the key-broker itself: begins tenants' sessions", "service", "role", KEY_BROKER),
    Document("key-broker-tenant", "a tenant's session: uses CMKs", "service", "role", KEY_BROKER_TENANT),
    Document("rewrap", "whoever moves vaults to another CMK: begins sessions", "service", "role", REWRAP),
    Document(
        "rewrap-tenant", "a tenant's session: re-encrypts wrapped keys", "service", "role", REWRAP_TENANT
    ),
    Document("backup", "backup workers", "service", "role", BACKUP),
    Document("restore", "restore workers", "service", "role", RESTORE),
    Document("maintenance", "maintenance workers", "service", "role", MAINTENANCE),
    Document("scheduler", "the scheduler: nothing in AWS", "service", "role", SCHEDULER),
    Document("client", "the command, where parcels are delivered through S3", "service", "role", CLIENT),
    Document(
        "key-broker-tenant-trust", "who begins the sessions", "service", "trust", KEY_BROKER_TENANT_TRUST
    ),
    Document("rewrap-tenant-trust", "who begins the sessions", "service", "trust", REWRAP_TENANT_TRUST),
    Document("customer-key", "the CMK", "customer", "key", CUSTOMER_KEY),
    Document("repository-bucket", "the repository's bucket", "customer", "bucket", REPOSITORY_BUCKET),
    Document("delivery-bucket", "the delivery area's bucket", "customer", "bucket", DELIVERY_BUCKET),
)
