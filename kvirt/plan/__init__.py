"""The plan engine: from a file to what it says, in six steps with plain data between them.

``locate -> render -> parse -> check -> graph -> execute``. Nothing here prints; what happens is told by events.
"""
