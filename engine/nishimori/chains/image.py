"""The bytes of an untrusted HDF5 file and the structures that lead to its objects.

Read here and not by the HDF5 library, which loops forever or crashes on damaged metadata. What HDF5 writes for plain
arrays in its oldest and default format is a small language: superblock 0, object headers 1, symbol tables and local
heaps. Anything else is refused. Source: HDF5 File Format Specification 3.0, sections II.A, III and IV.A.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MOST_NAMES = 4096
"""Names that a group, and attributes that an object can have."""
MOST_MESSAGES = 1024
"""Messages of an object header: ten and one an attribute are usual."""
LONGEST_NAME = 512
UNDEFINED = 2**64 - 1
SYMBOL_TABLE, CONTINUATION, LINK_INFO, LINK = 0x11, 0x10, 0x02, 0x06
SOFT_ENTRY, HARD = 2, 0
KINDS_OF_LINK = {1: "a soft link", 64: "an external link"}


class Refused(ValueError):
    """The file is damaged or holds what is not accepted; the message says where and what."""


class Message(NamedTuple):
    """One message of an object header: what it is about, and its bytes. A shared one is kept elsewhere."""

    kind: int
    shared: bool
    content: "Bytes"


@dataclass(frozen=True)
class Bytes:
    """Bytes, of which no more can be read than there are."""

    content: bytes

    def take(self, offset: int, size: int) -> bytes:
        if offset < 0 or size < 0 or offset + size > len(self.content):
            raise Refused(f"it is damaged: {size} bytes at {offset} reach beyond its {len(self.content)} bytes")
        return self.content[offset : offset + size]

    def number(self, offset: int, size: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(offset, size), "little", signed=signed)

    def expect(self, offset: int, expected: bytes, what: str) -> None:
        if self.take(offset, len(expected)) != expected:
            raise Refused(f"it is damaged: no {what} at byte {offset}")

    def text(self, offset: int, end: int) -> str:
        """Up to a zero byte, before `end`: a name, short and printable."""
        content = self.take(offset, min(end - offset, LONGEST_NAME + 1))
        try:
            name = content[: content.index(0)].decode()
        except ValueError:
            raise Refused(f"it is damaged: no name at byte {offset}") from None
        if not is_name(name):
            raise Refused(f"it has the name {name!r}")
        return name


def is_name(name: str) -> bool:
    """Whether groups, datasets and attributes may have it: sentences repeat it."""
    return 0 < len(name.encode()) <= LONGEST_NAME and name.isprintable() and "/" not in name and name != "."


def root_of(file: Bytes) -> int:
    """Check the superblock; returns the address of the root group's header."""
    if not file.content.startswith(SIGNATURE):
        raise Refused("it is no HDF5 file")
    if file.number(8, 1) != 0:
        raise Refused(f"its superblock has version {file.number(8, 1)}, not 0")
    if (file.number(13, 1), file.number(14, 1), file.number(24, 8)) != (8, 8, 0):
        raise Refused("it has offsets or lengths other than of 8 bytes, or does not start at its first byte")
    if file.number(40, 8) > len(file.content):
        raise Refused(f"it is cut short: {len(file.content)} of {file.number(40, 8)} bytes")
    return file.number(64, 8)


def messages_of(file: Bytes, header: int) -> list[Message]:
    """All messages of the object header at that address."""
    if file.take(header, 4) == b"OHDR":
        raise Refused("it has object headers of a newer format")
    file.expect(header, b"\x01\x00", "object header")
    count, blocks = min(file.number(header + 2, 2), MOST_MESSAGES), [(header + 16, file.number(header + 8, 4))]
    found: list[Message] = []
    # The list grows while it is read: each continuation is a message more, so that a chain that bites its tail ends.
    for start, size in blocks:
        for message in _block(Bytes(file.take(start, size))):
            found.append(message)
            if message.kind == CONTINUATION:
                blocks.append((message.content.number(0, 8), message.content.number(8, 8)))
            if len(found) > count:
                raise Refused(f"it is damaged: the object header at byte {header} has more than {count} messages")
    return found


def _block(block: Bytes) -> Iterator[Message]:
    offset = 0
    while offset + 8 <= len(block.content):
        size = block.number(offset + 2, 2)
        yield Message(
            block.number(offset, 2), bool(block.number(offset + 4, 1) & 2), Bytes(block.take(offset + 8, size))
        )
        offset += 8 + size


def is_group(messages: list[Message]) -> bool:
    return any(message.kind in (SYMBOL_TABLE, LINK_INFO, LINK) for message in messages)


def members_of(file: Bytes, messages: list[Message], where: str) -> dict[str, int]:
    """Name -> address of the header of every member of a group; `where` is its path, for refusals."""
    for message in messages:
        if message.kind == LINK:
            _refuse_link(message.content, where)
    tables = [message.content for message in messages if message.kind == SYMBOL_TABLE]
    if len(tables) != 1:
        raise Refused(f"{where} is a group of a newer format")
    names = _local_heap(file, tables[0].number(8, 8))
    members: dict[str, int] = {}
    for entry in _entries(file, tables[0].number(0, 8)):
        name = names.text(file.number(entry, 8), len(names.content))
        path = f"{where.rstrip('/')}/{name}"
        if file.number(entry + 16, 4) == SOFT_ENTRY or file.number(entry + 8, 8) == UNDEFINED:
            raise Refused(f"{path} is a soft link, no plain numeric dataset")
        if name in members:
            raise Refused(f"it is damaged: {where} has the name {name!r} twice")
        members[name] = file.number(entry + 8, 8)
        if len(members) > MOST_NAMES:
            raise Refused(f"{where} has more than {MOST_NAMES} names")
    return members


def _refuse_link(link: Bytes, where: str) -> None:
    flags, offset = link.number(1, 1), 2
    kind = link.number(offset, 1) if flags & 8 else 0
    offset += bool(flags & 8) + 8 * bool(flags & 4) + bool(flags & 16)
    width = 1 << (flags & 3)
    name = link.take(offset + width, link.number(offset, width))
    if kind != HARD:
        what = KINDS_OF_LINK.get(kind, "a link of a kind of its own")
        raise Refused(f"{where.rstrip('/')}/{ascii(name)[2:-1]} is {what}, no plain numeric dataset")


def _local_heap(file: Bytes, address: int) -> Bytes:
    file.expect(address, b"HEAP\x00", "heap of names")
    return Bytes(file.take(file.number(address + 24, 8), file.number(address + 8, 8)))


def _entries(file: Bytes, tree: int) -> Iterator[int]:
    """Addresses of the symbol table entries below a B-tree node, each node read once."""
    seen: set[int] = set()
    nodes = [(tree, -1)]
    while nodes:
        node, level = nodes.pop()
        if node in seen or len(seen) > 2 * MOST_NAMES:
            raise Refused(f"it is damaged: a group's tree leads to byte {node} twice or is too large")
        seen.add(node)
        if level == 0:
            file.expect(node, b"SNOD\x01", "symbol table")
            yield from (node + 8 + 40 * number for number in range(file.number(node + 6, 2)))
            continue
        file.expect(node, b"TREE\x00", "tree of names")
        below = file.number(node + 5, 1)
        if level > 0 and below != level - 1:
            raise Refused(f"it is damaged: the tree at byte {node} has level {below} below {level}")
        used = file.number(node + 6, 2)
        # Children of a leaf of the tree are symbol tables, marked here by level 0.
        nodes.extend((file.number(node + 32 + 16 * child, 8), below) for child in range(used))
