"""Why a file could not be decoded."""

from models.errors import ErrorCategory


class DecodeFailed(Exception):
    """The file cannot be decoded, or not within the limits; it is the fault of its row alone."""

    def __init__(self, category: ErrorCategory, message: str, *, hint: str = "") -> None:
        super().__init__(category, message, hint)
        self.category = category
        self.message = message
        self.hint = hint


def unreadable(message: str, *, hint: str = "") -> DecodeFailed:
    """Return the failure of a file that is not what it ought to be."""
    return DecodeFailed(ErrorCategory.VALIDATION, message, hint=hint)


def too_much(message: str, *, hint: str = "") -> DecodeFailed:
    """Return the failure of a file that asks for more than it may."""
    return DecodeFailed(ErrorCategory.RESOURCE, message, hint=hint)
