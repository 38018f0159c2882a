"""Crashes at every commit point, once and in pairs: what the next process makes of what is left."""
