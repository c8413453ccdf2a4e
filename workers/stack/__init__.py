"""The embedded stack: one supervisor, one Valkey server, one process for each role."""
