"""The pages that say it: tables and plots."""
