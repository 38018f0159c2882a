"""Names things, stores them, announces them; decides nothing."""
