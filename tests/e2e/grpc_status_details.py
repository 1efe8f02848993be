"""Reads google.rpc.Status out of an error's trailer, with nothing but the wire format."""


def fields_of(data):
    """(number, value) of a serialised message; varints as int, the rest as bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        else:
            length = varint()
            yield tag >> 3, data[at:at + length]
            at += length


def error_info(error):
    """(reason, [field, …])"""
    trailers = dict(error.trailing_metadata())
    reason, fields = None, []
    for number, detail in fields_of(trailers["grpc-status-details-bin"]):
        if number != 3:
            continue
        any_fields = dict(fields_of(detail))
        kind = any_fields[1].decode().rsplit("/", 1)[1]
        if kind == "google.rpc.ErrorInfo":
            info = dict(fields_of(any_fields[2]))
            reason = info[1].decode()
            assert info[2] == b"tollgate"
        elif kind == "google.rpc.BadRequest":
            fields += [dict(fields_of(violation))[1].decode() for _, violation in fields_of(any_fields[2])]
    return reason, fields
