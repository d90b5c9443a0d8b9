"""Files of gRPC messages and services, made of tables of their fields.

All are in one pool of our own: a process that also holds a client's messages of the same names keeps both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_SCALARS = {
    "string": 9, "bool": 8, "int32": 5, "int64": 3, "uint32": 13, "uint64": 4, "float": 2, "double": 1, "bytes": 12,
}  # fmt: skip
"""Type of a field -> its number in `FieldDescriptorProto.Type`."""
_MESSAGE = 11
Fields = Sequence[tuple[int, str, str]]
"""Number, name, and type of each field: a scalar or a message; `*` before it: repeated; `=`: a map from texts."""


@dataclass(frozen=True)
class ProtoFile:
    """One file: its package, its messages, and the methods of its service."""

    name: str
    package: str
    service: str
    messages: Mapping[str, Fields]
    """Name (`Outer.Nested` of one within another) -> fields."""
    methods: Sequence[str]
    """Each takes its name and `Request`, and returns its name and `Response`."""
    one_of: Mapping[str, str] = field(default_factory=dict)
    """Message -> name of the choice that all of its fields are."""

    @property
    def full_service(self) -> str:
        return f"{self.package}.{self.service}"

    def message(self, name: str) -> Any:
        """The class of a message."""
        return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"{self.package}.{name}"))

    def add(self) -> ProtoFile:
        """The file, once its messages are in the pool."""
        POOL.Add(self._described())
        return self

    def _described(self) -> descriptor_pb2.FileDescriptorProto:
        made = descriptor_pb2.FileDescriptorProto(name=self.name, package=self.package, syntax="proto3")
        outer = {name: made.message_type.add(name=name) for name in self.messages if "." not in name}
        for name, fields in self.messages.items():
            parent, _, nested = name.partition(".")
            described = outer[parent].nested_type.add(name=nested) if nested else outer[parent]
            self._add_fields(described, name, fields)
        service = made.service.add(name=self.service)
        for method in self.methods:
            types = {
                "input_type": f".{self.package}.{method}Request",
                "output_type": f".{self.package}.{method}Response",
            }
            service.method.add(name=method, **types)
        return made

    def _add_fields(self, described: descriptor_pb2.DescriptorProto, name: str, fields: Fields) -> None:
        if name in self.one_of:
            described.oneof_decl.add(name=self.one_of[name])
        for number, field_name, kind in fields:
            repeated, plain = kind[0] in "*=", kind.lstrip("*=")
            if kind[0] == "=":
                entry = "".join(part.capitalize() for part in field_name.split("_")) + "Entry"
                self._add_fields(described.nested_type.add(name=entry), "", ((1, "key", "string"), (2, "value", plain)))
                described.nested_type[-1].options.map_entry = True
                plain = f"{name}.{entry}"
            added = described.field.add(name=field_name, number=number, label=3 if repeated else 1)
            added.type = _SCALARS.get(plain, _MESSAGE)
            if plain not in _SCALARS:
                added.type_name = f".{self.package}.{plain}"
            if name in self.one_of:
                added.oneof_index = 0


POOL = descriptor_pool.DescriptorPool()
