"""Datasets and attributes of an untrusted HDF5 file: plain numbers, stored whole where they say.

Source: HDF5 File Format Specification 3.0, section IV.A.2 (messages) and III.E (global heap).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nishimori.chains.image import Bytes, Message, Refused

DATASPACE, DATATYPE, EXTERNAL, LAYOUT, FILTERS, ATTRIBUTE, MANY_ATTRIBUTES = 0x1, 0x3, 0x7, 0x8, 0xB, 0xC, 0x15
UNUSED = {0x0, 0x4, 0x5, 0x10, 0x11, 0x12}
"""Nothing, fill values (all is stored), continuation, symbol table, time of modification."""
FIXED, FLOAT, STRING, ENUMERATION, VARIABLE = 0, 1, 3, 8, 9
CLASSES = {
    2: "times",
    3: "strings",
    4: "bit fields",
    5: "opaque bytes",
    6: "compound values",
    7: "references",
    8: "enumerations",
    9: "values of variable length",
    10: "arrays as elements",
    11: "complex numbers",
}
IEEE = {2: (0, 16, 10, 5, 0, 10, 15), 4: (0, 32, 23, 8, 0, 23, 127), 8: (0, 64, 52, 11, 0, 52, 1023)}
"""Bytes -> offset, precision, place and size of exponent, place and size of mantissa, bias."""
BOOLEAN = {b"FALSE\0\0\0TRUE\0\0\0\0\0\1", b"FALSE\0TRUE\0\0\1"}
"""Names, padded or not, and values of what h5py stores for numpy's bool."""
MOST_ATTRIBUTES, LONGEST_STRING = 256, 2**16
LAYOUTS = {2: "chunked", 3: "virtual"}


def dataset_of(file: Bytes, messages: list[Message], where: str) -> NDArray[Any]:
    """The values of the dataset with these header messages; `where` is its path, for refusals."""
    refuse_other_messages(messages, where)
    if not any(message.kind == LAYOUT for message in messages):
        raise Refused(f"{where} is a committed datatype or of unknown kind, no plain numeric dataset")
    dtype = dtype_of(_only(messages, DATATYPE, where), where)
    shape = shape_of(_only(messages, DATASPACE, where), where)
    stored = _stored(file, _only(messages, LAYOUT, where), where)
    if len(stored) != dtype.itemsize * math.prod(shape):
        raise Refused(f"{where} declares {dtype.itemsize * math.prod(shape)} bytes and stores {len(stored)}")
    try:
        return np.frombuffer(stored, dtype).reshape(shape).copy()
    except ValueError:
        raise Refused(f"{where} declares the impossible shape {shape}") from None


def refuse_other_messages(messages: list[Message], where: str) -> None:
    """Filters, external storage, shared and unknown messages are refused, whatever kind of object has them."""
    known = UNUSED | {DATASPACE, DATATYPE, LAYOUT, ATTRIBUTE}
    for message in messages:
        if message.kind == FILTERS:
            raise Refused(f"{where} is filtered (compressed), no plain numeric dataset")
        if message.kind == EXTERNAL:
            raise Refused(f"{where} is in external files, no plain numeric dataset")
        if message.kind == MANY_ATTRIBUTES:
            raise Refused(f"{where} has attributes of a newer format")
        if message.shared and message.kind == DATATYPE:
            raise Refused(f"{where} has a committed datatype, no plain numeric dataset")
        if message.kind not in known or message.shared:
            raise Refused(f"{where} has a header message of unknown kind {message.kind}")


def _only(messages: list[Message], kind: int, where: str) -> Bytes:
    found = [message.content for message in messages if message.kind == kind]
    if len(found) != 1:
        raise Refused(f"{where} is no plain numeric dataset: {len(found)} header messages of kind {kind}, not one")
    return found[0]


def dtype_of(datatype: Bytes, where: str) -> np.dtype[Any]:
    """bool, or integers and IEEE floats of standard sizes and either byte order."""
    kind, size = datatype.number(0, 1) & 15, datatype.number(4, 4)
    if kind == ENUMERATION and _is_bool(datatype):
        return np.dtype(np.bool_)
    if kind not in (FIXED, FLOAT):
        raise Refused(f"{where} holds {CLASSES.get(kind, 'values of unknown type')}, no plain numeric dataset")
    code = _integer(datatype, size) if kind == FIXED else _float(datatype, size)
    if code is None:
        raise Refused(f"{where} holds numbers of no standard format, no plain numeric dataset")
    return np.dtype(f"{'>' if datatype.number(1, 1) & 1 else '<'}{code}{size}")


def _integer(datatype: Bytes, size: int) -> str | None:
    flags = datatype.number(1, 3)
    plain = size in (1, 2, 4, 8) and (datatype.number(8, 2), datatype.number(10, 2)) == (0, 8 * size)
    return None if not plain or flags & ~9 else "i" if flags & 8 else "u"


def _float(datatype: Bytes, size: int) -> str | None:
    at = ((8, 2), (10, 2), (12, 1), (13, 1), (14, 1), (15, 1), (16, 4))
    plain = tuple(datatype.number(*place) for place in at) == IEEE.get(size)
    return "f" if plain and datatype.number(1, 3) & ~1 == 0x20 | (8 * size - 1) << 8 else None


def _is_bool(datatype: Bytes) -> bool:
    """Two members, over an integer of one byte (a datatype of 12 bytes of its own)."""
    base = Bytes(datatype.take(8, 12))
    single = (datatype.number(1, 2), datatype.number(4, 4), base.number(0, 1) & 15) == (2, 1, FIXED)
    members = datatype.content[20:]
    return single and _integer(base, 1) is not None and any(members.startswith(known) for known in BOOLEAN)


def shape_of(dataspace: Bytes, where: str) -> tuple[int, ...]:
    version, rank = dataspace.number(0, 1), dataspace.number(1, 1)
    if version == 2 and dataspace.number(3, 1) == 2:
        raise Refused(f"{where} is empty, without a shape; no plain numeric dataset")
    if version not in (1, 2) or rank > 32:
        raise Refused(f"{where} has a shape of a newer format")
    first = 8 if version == 1 else 4
    return tuple(dataspace.number(first + 8 * axis, 8) for axis in range(rank))


def _stored(file: Bytes, layout: Bytes, where: str) -> bytes:
    version, kind = layout.number(0, 1), layout.number(1, 1)
    if kind in LAYOUTS:
        raise Refused(f"{where} is stored {LAYOUTS[kind]}, not contiguous; no plain numeric dataset")
    if version != 3 or kind > 3:
        raise Refused(f"{where} has a layout of another format")
    if kind == 0:
        return layout.take(4, layout.number(2, 2))
    address, size = layout.number(2, 8), layout.number(10, 8)
    if size and address + size > len(file.content):
        raise Refused(f"{where} declares {size} bytes, more than the file stores")
    return file.take(address, size) if size else b""


def attributes_of(file: Bytes, messages: list[Message], where: str) -> dict[str, str | int]:
    """The attributes of an object; anything but one string or one integer is refused."""
    found: dict[str, str | int] = {}
    for message in messages:
        if message.kind == ATTRIBUTE:
            name, value = _attribute(file, message.content, where)
            found[name] = value
            if len(found) > MOST_ATTRIBUTES:
                raise Refused(f"{where} has more than {MOST_ATTRIBUTES} attributes")
    return found


def _attribute(file: Bytes, attribute: Bytes, where: str) -> tuple[str, str | int]:
    version, flags = attribute.number(0, 1), attribute.number(1, 1)
    if version not in (1, 2, 3) or (version > 1 and flags & 3):
        raise Refused(f"{where} has an attribute of a newer format or of a committed datatype")
    padding = 8 if version == 1 else 1
    offset, parts = 9 if version == 3 else 8, []
    for field in range(3):
        size = attribute.number(2 + 2 * field, 2)
        parts.append(Bytes(attribute.take(offset, size)))
        offset += -(-size // padding) * padding
    name = parts[0].text(0, len(parts[0].content))
    where = f"attribute {name!r} of {where}"
    if shape_of(parts[2], where) != ():
        raise Refused(f"{where} holds several values, not a string or an integer")
    return name, _value(file, parts[1], Bytes(attribute.content[offset:]), where)


def _value(file: Bytes, datatype: Bytes, data: Bytes, where: str) -> str | int:
    kind, size = datatype.number(0, 1) & 15, datatype.number(4, 4)
    if kind == FIXED:
        dtype = dtype_of(datatype, where)
        return int(np.frombuffer(data.take(0, size), dtype)[0])
    if kind == STRING:
        return _decoded(data.take(0, size).rstrip(b"\0 "), where)
    if kind == VARIABLE and datatype.number(1, 1) & 15 == 1:
        length = data.number(0, 4)
        if length > LONGEST_STRING:
            raise Refused(f"{where} is a string of {length} bytes, more than {LONGEST_STRING}")
        return _decoded(_global_heap(file, data.number(4, 8), data.number(12, 4), length), where) if length else ""
    raise Refused(f"{where} is not a string or an integer")


def _decoded(content: bytes, where: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise Refused(f"{where} is no text") from None


def _global_heap(file: Bytes, address: int, index: int, length: int) -> bytes:
    file.expect(address, b"GCOL\x01", "heap of strings")
    offset, end = address + 16, address + file.number(address + 8, 8)
    while offset + 16 <= end and (found := file.number(offset, 2)) != 0:
        size = file.number(offset + 8, 8)
        if found == index:
            return file.take(offset + 16, min(length, size))
        offset += 16 + -(-size // 8) * 8
    raise Refused(f"it is damaged: no string {index} in the heap at byte {address}")
