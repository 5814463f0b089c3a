"""What both models read of a request, in training and in the served graph alike."""
