"""Model versions in, answers out: a client of TensorFlow Serving and a local server.

`serving.client` asks a running server, over gRPC or REST, without TensorFlow.
`serving.modelserver` is a local server that speaks TensorFlow Serving's API.
Nothing here imports `data` or `trainer`: a SavedModel and its manifest say it all.
"""
