"""The plain parts of a statistics report, read strictly: counts, and pairs of a place and a count."""

from typing import Final

# Above what JSON numbers of other languages carry exactly; at a million requests a second, 285 years.
COUNT_MAX: Final = 2**53


class ReportError(ValueError):
    """A report that breaks the link's rules; the text names the place."""


def read_count(value: object, place: str, most: int = COUNT_MAX) -> int:
    """A whole number from 0 to *most*.

    Raises:
        ReportError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ReportError(f"{place}: must be a whole number from 0 to 2^{most.bit_length() - 1}")
    return value


def read_pairs(value: object, size: int, place: str, most: int = COUNT_MAX) -> list[tuple[int, int]]:
    """Pairs of a place below *size* and a count of at most *most*.

    Raises:
        ReportError: they are none, or more than there are places.
    """
    if not isinstance(value, list) or len(value) > size:
        raise ReportError(f"{place}: must list at most {size} [place, count] pairs")
    pairs = []
    for i, pair in enumerate(value):
        if not isinstance(pair, list) or len(pair) != 2:
            raise ReportError(f"{place}[{i}]: must be [place, count]")
        at = read_count(pair[0], f"{place}[{i}][0]")
        if at >= size:
            raise ReportError(f"{place}[{i}][0]: {at} is not in 0..{size - 1}")
        pairs.append((at, read_count(pair[1], f"{place}[{i}][1]", most)))
    return pairs
