"""`strata extractors`: what there is, the page of it in docs/, and the beginning of another."""
