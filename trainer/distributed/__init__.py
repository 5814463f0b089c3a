"""Who takes the steps of a fit: one device, several, or several processes."""
