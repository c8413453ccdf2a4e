"""Objects of a bucket as a source, and as a target of a restore."""
