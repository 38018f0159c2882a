"""MongoDB as far as the product uses it, in memory; whatever else is asked of it is refused."""
