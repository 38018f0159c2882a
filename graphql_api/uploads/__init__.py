"""Uploads: files that clients send straight to S3."""
