"""Keys, seals, identities, tickets: pure functions and values, without input or output.

`crypto.kms` is the exception that proves it: the KMS clients live there, and only the key-broker may import them.
"""
