"""Which language a text is in, by a classifier whose model is in its wheel."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    pass

_READ: Final = 1_000  # characters of a text: more changes no answer, and costs
_SURE: Final = 0.5  # probability below which there is no answer: numbers, names, a word or two
_UNKNOWN: Final = "und"


class LanguageDetector:
    """A loaded classifier; loading takes about a second."""

    def __init__(self) -> None:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        self._classifier: LanguageIdentifier = LanguageIdentifier.from_model_file(
            MODEL_FILE, norm_probs=True, min_confidence=_SURE
        )

    def detect(self, text: str) -> str | None:
        """Return the ISO 639 code of a text's language; None when it cannot be told."""
        code, _ = self._classifier.classify(text[:_READ])
        return None if code == _UNKNOWN else str(code)
