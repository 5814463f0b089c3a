"""The messages of TensorFlow Serving's protocol, field for field, without TensorFlow.

The official stubs import all of TensorFlow: seconds and hundreds of megabytes for one
query. Only the field numbers and types matter on the wire; the package name is our own,
in a pool of its own, so that both sets can live in one process. Enums are int32 here,
which is the same on the wire. `type*` is repeated, `{type}` a map from strings.
"""

import re
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "tandem.serving"
_SCHEMA = """
Dim: size=1 int64, name=2 string
TensorShape: dim=2 Dim*, unknown_rank=3 bool
Tensor: dtype=1 int32, tensor_shape=2 TensorShape, version_number=3 int32,
  tensor_content=4 bytes, float_val=5 float*, double_val=6 double*, int_val=7 int32*,
  string_val=8 bytes*, scomplex_val=9 float*, int64_val=10 int64*, bool_val=11 bool*,
  dcomplex_val=12 double*, half_val=13 int32*, uint32_val=16 uint32*,
  uint64_val=17 uint64*
Int64Value: value=1 int64
ModelSpec: name=1 string, version=2 Int64Value, signature_name=3 string,
  version_label=4 string
PredictRequest: model_spec=1 ModelSpec, inputs=2 {Tensor}, output_filter=3 string*
PredictResponse: outputs=1 {Tensor}, model_spec=2 ModelSpec
GetModelMetadataRequest: model_spec=1 ModelSpec, metadata_field=2 string*
Any: type_url=1 string, value=2 bytes
GetModelMetadataResponse: model_spec=1 ModelSpec, metadata=2 {Any}
TensorInfo: name=1 string, dtype=2 int32, tensor_shape=3 TensorShape
SignatureDef: inputs=1 {TensorInfo}, outputs=2 {TensorInfo}, method_name=3 string,
  defaults=4 {Tensor}
SignatureDefMap: signature_def=1 {SignatureDef}
GetModelStatusRequest: model_spec=1 ModelSpec
Status: error_code=1 int32, error_message=2 string
ModelVersionStatus: version=1 int64, state=2 int32, status=3 Status
GetModelStatusResponse: model_version_status=1 ModelVersionStatus*
"""
_FIELD = re.compile(r"(\w+)=(\d+) (\{?)(\w+)\}?(\*?)")
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
    "double": _Field.TYPE_DOUBLE,
    "float": _Field.TYPE_FLOAT,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
}


def _add_field(
    message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str
) -> descriptor_pb2.FieldDescriptorProto:
    field = message.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
    return field


def _add_map(
    message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str
) -> None:
    # protobuf derives the entry's name from the field's and insists on it.
    entry_name = "".join(part.capitalize() for part in name.split("_")) + "Entry"
    entry = message.nested_type.add(name=entry_name)
    entry.options.map_entry = True
    _add_field(entry, "key", 1, "string")
    _add_field(entry, "value", 2, kind)
    field = _add_field(message, name, number, f"{message.name}.{entry_name}")
    field.label = _Field.LABEL_REPEATED


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="tandem/serving.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, body in re.findall(r"^(\w+):((?:.|\n )*)", _SCHEMA, re.M):
        message = file.message_type.add(name=name)
        for field_name, number, map_mark, kind, star in _FIELD.findall(body):
            if map_mark:
                _add_map(message, field_name, int(number), kind)
                continue
            field = _add_field(message, field_name, int(number), kind)
            if star:
                field.label = _Field.LABEL_REPEATED
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message.name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{_PACKAGE}.{message.name}")
        )
        for message in file.message_type
    }


_CLASSES = _build()
PredictRequest = _CLASSES["PredictRequest"]
PredictResponse = _CLASSES["PredictResponse"]
GetModelMetadataRequest = _CLASSES["GetModelMetadataRequest"]
GetModelMetadataResponse = _CLASSES["GetModelMetadataResponse"]
GetModelStatusRequest = _CLASSES["GetModelStatusRequest"]
GetModelStatusResponse = _CLASSES["GetModelStatusResponse"]
SignatureDefMap = _CLASSES["SignatureDefMap"]
Tensor = _CLASSES["Tensor"]
