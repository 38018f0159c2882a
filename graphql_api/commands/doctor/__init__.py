"""`strata doctor`: each dependency is asked something that only a working one can answer."""
