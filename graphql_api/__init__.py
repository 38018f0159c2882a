"""Asks: schema, authentication, limits, subscriptions, GraphiQL, the command line."""
