"""The command line: the only place that prints or exits. It holds no logic that a script would want."""
