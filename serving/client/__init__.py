"""Ask a server of TensorFlow Serving's API for recommendations; no TensorFlow needed.

Example:
    with GrpcClient("127.0.0.1:8500") as client:
        for item in client.recommend("196", k=10):
            print(item.title, item.score)

"""

from serving.client.base import Client
from serving.client.errors import ServingError
from serving.client.grpc_client import GrpcClient
from serving.client.options import ModelNames, Widths
from serving.client.rest_client import RestClient
from serving.client.results import (
    Item,
    ModelMetadata,
    ModelVersion,
    Recommendation,
    Signature,
    TensorInfo,
)

__all__ = [
    "Client",
    "GrpcClient",
    "Item",
    "ModelMetadata",
    "ModelNames",
    "ModelVersion",
    "Recommendation",
    "RestClient",
    "ServingError",
    "Signature",
    "TensorInfo",
    "Widths",
]
