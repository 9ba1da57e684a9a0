"""Tables that are not code."""
