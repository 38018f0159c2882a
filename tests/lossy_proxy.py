"""A way to lose the answer to what was done: the server has heard, and the client never learns."""

from dataclasses import dataclass

from tests.tcp_proxy import Talk, TcpProxy


@dataclass
class LossyProxy(TcpProxy):
    """Cuts a connection when the answer to certain requests comes."""

    words: tuple[bytes, ...]  # requests that hold one of them are counted,
    every: int  # and the answer to each n-th of them is lost
    heard: int = 0
    lost: int = 0

    def talk(self) -> Talk:
        """Return a connection that may come to lose an answer."""
        return _Lossy(self)


@dataclass
class _Lossy(Talk):
    proxy: LossyProxy
    deaf: bool = False

    async def asked(self, piece: bytes) -> None:
        if any(word in piece for word in self.proxy.words):
            self.proxy.heard += 1
            if self.proxy.heard % self.proxy.every == 0:
                self.deaf = True

    async def answered(self, piece: bytes) -> None:
        if self.deaf:
            self.proxy.lost += 1
            raise ConnectionResetError
