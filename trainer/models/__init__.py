"""Towers, models, indexes and the served graph."""
