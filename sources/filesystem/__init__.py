"""The file system as a source (walk, read) and as the target of a restore (write)."""
