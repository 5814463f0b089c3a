"""Quality under published protocols, one step at a time."""
