"""Speed and quality beside peers, each one command."""

# Chooses Keras before anything here imports TensorFlow.
import trainer  # noqa: F401
