"""Bytes and seconds as a reader takes them in."""

GIB, MIB = 2**30, 2**20
MINUTE, HOUR, DAY = 60, 3600, 86400


def sized(count: int) -> str:
    """Of so many bytes."""
    return f"{count / GIB:.1f} GiB" if count >= GIB / 10 else f"{count / MIB:.1f} MiB"


def duration(seconds: float) -> str:
    """In the unit that suits it."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.1f} s"
