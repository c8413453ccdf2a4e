"""What several tests of a bucket ask for."""

import random

from sources.s3.read import PIECE

BIG = random.Random(1).randbytes(3 * PIECE + 5)


def getting(key: str) -> object:
    return lambda request: (
        request.method == "GET" and key in request.target and "tagging" not in request.target
    )
