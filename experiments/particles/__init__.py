"""Particle environments: scripted experts, benchmark, conventions."""
