"""How models are fitted: examples, epochs, when to stop."""
