"""How long a call of the `recommender` servable takes, and where the time goes."""

import os

# What training prefers is no default of a server: see trainer/__init__.py.
os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)
