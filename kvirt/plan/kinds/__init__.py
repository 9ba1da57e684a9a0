"""What a plan's entries can be: one small class each, with its keys, what it needs, and how it is made and unmade."""
