"""Providers: one package for each platform. None of them is imported until a client needs it."""
