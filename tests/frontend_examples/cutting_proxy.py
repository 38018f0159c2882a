"""A way to lose a connection in the middle, as networks do."""

from dataclasses import dataclass

from tests.tcp_proxy import Talk, TcpProxy


@dataclass
class CuttingProxy(TcpProxy):
    """Resets the first websockets through it after so many server messages."""

    cuts: list[int]
    sockets: int = 0

    def talk(self) -> Talk:
        """Return a connection that may be cut."""
        return _Cut(self)

    def allowance(self) -> int | None:
        """Return how many messages the next websocket may have; None for any number."""
        self.sockets += 1
        return self.cuts.pop(0) if self.cuts else None


@dataclass
class _Cut(Talk):
    proxy: CuttingProxy
    begun: bool = False
    left: int | None = None

    async def asked(self, piece: bytes) -> None:
        if not self.begun and b"upgrade: websocket" in piece.lower():
            self.left = self.proxy.allowance()
        self.begun = True

    async def answered(self, piece: bytes) -> None:
        if self.left == 0:
            raise ConnectionResetError
        self.left = self.left and self.left - 1
