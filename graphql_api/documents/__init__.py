"""Documents and searching them."""
