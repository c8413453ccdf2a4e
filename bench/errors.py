"""What stops a measurement."""


class BenchError(Exception):
    """A program failed or a restore differs; the numbers of this run would mean nothing."""
