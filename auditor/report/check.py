"""One question of a verification, with its answer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One question with its answer.

    Attributes:
        name: What was checked.
        differs: What differs; empty where nothing does.
        skipped: Why it could not be checked; empty where it was.
        note: What else to know where nothing differs.
    """

    name: str
    differs: tuple[str, ...] = ()
    skipped: str = ""
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether it was checked and nothing differs."""
        return not self.differs and not self.skipped
