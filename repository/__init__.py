"""The objects of a vault: stores, packs, index, manifests, snapshots.

The bytes are described in `docs/format.md`. Nothing here knows Celery, a KMS, or where the files come from.
"""
