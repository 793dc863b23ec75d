"""What goes wrong in a simulated federation and can be mended by the user."""

from auditor.core.errors import AuditorError


class SimulationError(AuditorError):
    """The federation cannot be played as it is set up."""
