"""The key-broker: the only role that reaches a KMS. It checks, writes its audit log, then answers."""
