"""Speed and recall of the indexes, beside the libraries that others use."""
