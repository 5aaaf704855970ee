"""Numbers of templates that no two daemons give out twice, from a Milvus that cannot count. Owns the blocks of numbers;
may not know what is numbered.

A process takes a block of numbers for itself and gives them out in ascending order. To take one is to write a row with
a name of one's own and the number of a block that is higher than all others, and then to read: the block is taken where
no other row has as high a block. Two that write at once see each other's row, one of them at least, and go on higher.
The highest row is never deleted, so no block is taken twice, whatever the clock says and whoever dies.
"""

from __future__ import annotations

import secrets

from face_server.gallery.milvus.rows import bare_row
from face_server.gallery.milvus.server import MilvusServer, Table

#: Numbers in a block: a process starts a new one, so there are 2**33 starts until 2**53, which JSON clients hold.
_BLOCK = 2**20


class Numbering:
    """Of one process; not safe to use from several threads."""

    def __init__(self, server: MilvusServer) -> None:
        self._server = server
        self._next = self._end = 0

    def take(self, count: int, above: int) -> range:
        """So many numbers, all higher than `above` and than all taken here before. Raises GalleryUnavailable."""
        start = max(self._next, above + 1)
        if start + count > self._end:
            self._next = start
            start = self._take_block()
            self._end = start + _BLOCK
        self._next = start + count
        return range(start, start + count)

    def _take_block(self) -> int:
        """The first number of a block of our own that lies past `_next`."""
        while True:
            others = self._blocks()
            block = max([*others.values(), (self._next - 1) // _BLOCK]) + 1
            own = f"block-{secrets.token_hex(16)}"
            self._server.put(Table.TEMPLATES, [bare_row(own, "block", number=block)])
            others = self._blocks()
            if all(number < block for name, number in others.items() if name != own):
                self._server.drop(Table.TEMPLATES, [name for name in others if name != own])
                return block * _BLOCK
            self._server.drop(Table.TEMPLATES, [own])

    def _blocks(self) -> dict[str, int]:
        rows = self._server.find(Table.TEMPLATES, 'kind == "block"', ("pk", "number"))
        return {row["pk"]: int(row["number"]) for row in rows}
