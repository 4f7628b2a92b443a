"""Asks the database: tokens that may be used, certificates that were given out, names that were sent away."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from cloud.fleet.errors import Unavailable
from cloud.identity.tokens import Token
from edgeagent.wire import Address

METADATA: Final = sa.MetaData()
TOKENS: Final = sa.Table(
    "enrolment_tokens",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("site", sa.String(63), nullable=False),
    sa.Column("box", sa.String(253), nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
    sa.Column("key", sa.String(64), nullable=False, server_default=""),
)
CERTIFICATES: Final = sa.Table(
    "certificates",
    METADATA,
    sa.Column("serial", sa.String(40), primary_key=True),  # in hex
    sa.Column("name", sa.String(64), nullable=False, index=True),
    sa.Column("expires", sa.Float, nullable=False),
    sa.Column("revoked", sa.Float, nullable=True),  # None: it holds
)
BARRED: Final = sa.Table("barred_names", METADATA, sa.Column("name", sa.String(64), primary_key=True))


class Books:
    """What is known of tokens and certificates. Raises Unavailable where the database does not answer."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url)
        with self._begin() as tie:
            METADATA.create_all(tie)

    def close(self) -> None:
        """Let the connections go."""
        self._engine.dispose()

    def invite(self, token: Token, now: float) -> None:
        """Keep a token; earlier ones of the same box, and old ones of any, let nobody in from now on."""
        address = token.address
        same = sa.and_(TOKENS.c.site == address.site, TOKENS.c.box == address.box)
        with self._begin() as tie:
            tie.execute(sa.delete(TOKENS).where(sa.or_(TOKENS.c.expires <= now, same)))
            row = {"site": address.site, "box": address.box, "expires": token.expires, "key": token.key}
            tie.execute(sa.insert(TOKENS).values(digest=token.digest, **row))

    def claim(self, digest: str, key: str) -> Token | None:
        """Give a token to the first key that asks, in one statement; returns it as it then is."""
        free = sa.and_(TOKENS.c.digest == digest, TOKENS.c.key == "")
        with self._begin() as tie:
            tie.execute(sa.update(TOKENS).where(free).values(key=key))
            row = tie.execute(sa.select(TOKENS).where(TOKENS.c.digest == digest)).one_or_none()
        return Token(row.digest, Address(row.site, row.box), row.expires, row.key) if row else None

    def record(self, serial: int, name: str, expires: float) -> None:
        """Remember a certificate, before anyone has it."""
        with self._begin() as tie:
            tie.execute(sa.insert(CERTIFICATES).values(serial=f"{serial:x}", name=name, expires=expires))

    def holds(self, serial: int) -> bool:
        """Tell whether a certificate is ours, was not revoked, and its name may speak."""
        mine = sa.and_(CERTIFICATES.c.serial == f"{serial:x}", CERTIFICATES.c.revoked.is_(None))
        free = CERTIFICATES.c.name.not_in(sa.select(BARRED.c.name))
        with self._begin() as tie:
            return tie.execute(sa.select(CERTIFICATES.c.serial).where(mine, free)).one_or_none() is not None

    def revoke(self, name: str, address: Address, now: float) -> int:
        """Revoke all certificates of a name, bar it, and take its tokens back; returns how many certificates."""
        mine = sa.and_(CERTIFICATES.c.name == name, CERTIFICATES.c.revoked.is_(None))
        tokens = sa.and_(TOKENS.c.site == address.site, TOKENS.c.box == address.box)
        with self._begin() as tie:
            tie.execute(sa.delete(TOKENS).where(tokens))
            tie.execute(sa.delete(BARRED).where(BARRED.c.name == name))
            tie.execute(sa.insert(BARRED).values(name=name))
            return tie.execute(sa.update(CERTIFICATES).where(mine).values(revoked=now)).rowcount

    def unbar(self, name: str) -> bool:
        """Let a name speak again with a new certificate; tells whether it was barred."""
        with self._begin() as tie:
            return tie.execute(sa.delete(BARRED).where(BARRED.c.name == name)).rowcount > 0

    def revoked(self) -> list[int]:
        """Return the serial numbers of all revoked certificates."""
        with self._begin() as tie:
            rows = tie.execute(sa.select(CERTIFICATES.c.serial).where(CERTIFICATES.c.revoked.is_not(None)))
            return [int(row.serial, 16) for row in rows]

    def barred(self) -> list[str]:
        """Return the names that may not speak."""
        with self._begin() as tie:
            return [row.name for row in tie.execute(sa.select(BARRED.c.name))]

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as tie:
                yield tie
        except DBAPIError as lost:
            raise Unavailable(f"the database of identities does not answer: {lost.orig}") from lost
