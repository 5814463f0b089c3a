"""Drafts an experiment's TOML from tables that somebody has.

What each column is follows from its values first, from how they match the other
tables, and from its name last. Nothing is asked; every decision is said with what
speaks for it, in the output and in a comment of the TOML, and can be changed there.
"""
