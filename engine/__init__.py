"""Computes: plans tiers, flattens manifests, runs extractors on Ray, writes vectors."""
