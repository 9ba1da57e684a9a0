"""A toy cloud, its provider for kvirt, and how to test it."""
