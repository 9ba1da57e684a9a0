"""Tests of the provider for AWS."""
