"""What a run tells while it runs. The engine reports; a command decides how to show it."""

from dataclasses import dataclass
from typing import Protocol


class Progress(Protocol):
    """Hears about a run."""

    def stage(self, name: str, *, units: int, seconds: float) -> None:
        """A stage starts: so many units are still to be done, estimated to take so long."""
        ...

    def unit(self, name: str, *, failed: bool) -> None:
        """A unit has ended."""
        ...

    def say(self, sentence: str) -> None:
        """Something a person should read."""
        ...


@dataclass(frozen=True)
class Silent:
    """Tells nobody."""

    def stage(self, name: str, *, units: int, seconds: float) -> None: ...

    def unit(self, name: str, *, failed: bool) -> None: ...

    def say(self, sentence: str) -> None: ...
