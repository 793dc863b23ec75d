"""Errors a user can mend, and the exit codes of the command line."""

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """What a command returns to the shell."""

    COMPLETE = 0
    FINDING = 1
    USAGE = 2
    INCOMPLETE = 3
    BUG = 4
    INTERRUPTED = 130


class AuditorError(Exception):
    """Something the user can mend.

    Args:
        what: One sentence: what happened, with file, line and setting where they are known.
        remedy: One sentence: what to change.
        exit_code: What the command returns.
    """

    def __init__(self, what: str, *, remedy: str = "", exit_code: ExitCode = ExitCode.USAGE) -> None:
        self.what = what
        self.remedy = remedy
        self.exit_code = exit_code
        super().__init__(f"{what} {remedy}".strip())


class SettingsError(AuditorError):
    """All problems of a settings file at once, each ``file:line:column: path: sentence``."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


class TargetError(AuditorError):
    """The user's model, weights or data cannot be used as they are."""


class StoreError(AuditorError):
    """A run directory cannot be written or read."""


class AttackFailed(AuditorError):
    """An attack could not finish; the reason is printed in the report as ``failed because``."""

    def __init__(self, what: str) -> None:
        super().__init__(what, exit_code=ExitCode.INCOMPLETE)


class AttackDoesNotApply(AttackFailed):
    """Only the observation could show that an attack does not apply; the report says ``not applicable because``."""

    MARK = "does not apply: "

    def __init__(self, what: str) -> None:
        super().__init__(self.MARK + what)
