"""Collections and the catalogue of extractors."""
