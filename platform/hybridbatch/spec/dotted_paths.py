"""Dotted paths of the experiment file."""


def overlap(path: str, other: str) -> bool:
    """Return whether a value put at one of two dotted paths changes what is at the other."""
    return f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}.")
