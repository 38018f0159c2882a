"""Decoders: run in limited processes by `engine.media`, one module for each kind of file.

Each has `decode(request, data)`, yields parts, and loads its libraries when it is imported.
"""
