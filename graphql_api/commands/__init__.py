"""What each subcommand of `strata` does; how they are spelled is in `graphql_api.cli`."""
