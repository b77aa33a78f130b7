"""What goes over the wire, as msgspec Structs: camelCase JSON, UTF-8."""
