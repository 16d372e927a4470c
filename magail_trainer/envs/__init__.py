"""Environments: named, vectorised, checked."""
