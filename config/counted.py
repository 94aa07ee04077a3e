"""Numbers of things, as a person reads them."""


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`: the noun takes an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
