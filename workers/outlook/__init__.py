"""When live batches are likely to begin and to end."""
