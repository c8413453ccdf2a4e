"""A clock that moves only when somebody sleeps."""


class Time:
    """Its clock and its sleep are a caller's; `slept` has every wait, in seconds."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
