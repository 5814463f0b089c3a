"""What learns in seconds, and what a model has to beat."""
