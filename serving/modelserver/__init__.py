"""A local server that speaks TensorFlow Serving's gRPC and REST API.

For machines with no container engine. What a request meets, in order: `grpc_api` or
`rest_api` (transport), `predict` (order of checks), `manager` (which version),
`servable` (the SavedModel). `codec` is REST's JSON, free of TensorFlow.
"""
