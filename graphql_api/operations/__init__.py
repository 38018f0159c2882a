"""One operation from its text to its answer, whatever carried it here."""
