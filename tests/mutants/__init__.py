"""Defences taken out one at a time: the tests must notice. `make mutants` runs them."""
