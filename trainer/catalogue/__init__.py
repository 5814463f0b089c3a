"""Items that come and go without a refit."""
