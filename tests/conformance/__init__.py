"""Gates that hold the running API against other people's tools and clients."""
