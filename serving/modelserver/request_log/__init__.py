"""A sample of requests and answers, written to files: TensorFlow Serving's logging.

The front process chooses; a thread of its own writes, and a request never waits for it.
What users asked for goes into these files and nowhere else.
"""
