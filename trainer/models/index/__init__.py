"""Indexes over the items' vectors, one interface, several kinds."""
