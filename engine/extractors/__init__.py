"""The built-in extractors, one file each; `engine.catalog` lists them."""
