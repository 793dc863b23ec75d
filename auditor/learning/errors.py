"""What goes wrong in learning and can be mended by the user."""

from auditor.core.errors import AuditorError, ExitCode


class LearningError(AuditorError):
    """The model cannot be evaluated or trained as asked."""


class Diverged(AuditorError):
    """Training produced a loss or weights that are not finite numbers."""

    def __init__(self, what: str, *, learning_rate: float) -> None:
        super().__init__(
            f"{what}: the loss is not a finite number.",
            remedy=f"Lower federation.local.learning_rate (now {learning_rate:g}) or check the data.",
            exit_code=ExitCode.USAGE,
        )
