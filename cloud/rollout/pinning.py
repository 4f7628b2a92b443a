"""Which content the tag of a release means: asked of registries beside the looks, which never wait for one.

What one namespace can do to the others is bounded: one tag of it is asked for at a time, the oldest wish first.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from cloud.fleet.errors import Late, Unavailable
from cloud.rollout.registry import Reference, Silent, digest_of, reference
from cloud.rollout.release import Release

ASKED: Final = 8  # tags asked for at one time, each of another namespace
PATIENCE: Final = 5.0  # seconds after which a release that waits says so
SILENT_FOR: Final = 60.0  # seconds that a host is not asked again for a namespace in which it did not answer in time
LONGEST: Final = 512  # characters of a reference, as in the resource's schema

log = structlog.get_logger("registry")


@dataclass(frozen=True, slots=True)
class Wish:
    """What one release wants to know."""

    namespace: str
    uid: str  # of the release: what a tag means may have changed by the next one
    image: str
    wanted: Reference


@dataclass(slots=True)
class Asking:
    """Where a wish stands."""

    since: float
    wished: float  # when it was last wished for
    begun: bool = False
    answer: str | None = None  # None: not told yet


class Registries:
    """Settles tags, each release once; for any thread."""

    def __init__(self, *, resolve: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """``resolve`` False: never ask a registry."""
        self._resolve = resolve
        self._clock = clock
        self._lock = threading.Lock()
        self._wishes: dict[Wish, Asking] = {}  # oldest first
        self._silent: dict[tuple[str, str], float] = {}  # namespace, host -> until when it is not asked

    def pin(self, image: str, release: Release) -> str | None:
        """Return the image with its digest, or as written if nobody tells; None: not asked for.

        Raises Unavailable until that is known; Late, once that takes long.
        """
        if not self._resolve:
            return None
        wanted = reference(image)
        if wanted is None:
            return image
        wish, now = Wish(release.namespace, release.uid, image, wanted), self._clock()
        with self._lock:
            self._forget(now)
            asking = self._wishes.setdefault(wish, Asking(now, now))
            asking.wished = now
            self._begin()
            if asking.answer is not None:
                return self._wishes.pop(wish).answer
        late = now - asking.since > PATIENCE
        waits = f"Waits for {wanted.host} to tell which content {image} is; if it does not, the tag is used as written."
        raise Late(waits) if late else Unavailable(waits)

    def _forget(self, now: float) -> None:
        """Forget what nobody wishes for any more, since its release is gone or has another image."""
        for wish, asking in list(self._wishes.items()):
            if now - asking.wished > SILENT_FOR and (asking.answer is not None or not asking.begun):
                del self._wishes[wish]
        self._silent = {place: until for place, until in self._silent.items() if now < until}

    def _begin(self) -> None:
        """Ask for what has its turn; where a host is silent, nobody has to."""
        busy = {wish.namespace for wish, asking in self._wishes.items() if asking.begun and asking.answer is None}
        for wish, asking in [one for one in self._wishes.items() if not one[1].begun]:
            if (wish.namespace, wish.wanted.host) in self._silent:
                asking.begun, asking.answer = True, wish.image
                log.warning("digest not told", image=wish.image, reason="the registry did not answer in time just now")
            elif wish.namespace not in busy and len(busy) < ASKED:
                threading.Thread(target=self._ask, args=(wish, asking), name="registry", daemon=True).start()
                asking.begun = True
                busy.add(wish.namespace)

    def _ask(self, wish: Wish, asking: Asking) -> None:
        """Settle one wish, then let the next have its turn."""
        answer, silent = wish.image, False
        try:
            pinned = f"{wish.image}@{digest_of(wish.wanted)}"
            answer = pinned if len(pinned) <= LONGEST else wish.image
        except Exception as why:  # noqa: BLE001 - image, registry and token server are strangers' words all the way down
            silent = isinstance(why, Silent)
            log.warning("digest not told", image=wish.image, reason=str(why) or type(why).__name__)
        with self._lock:
            asking.answer = answer
            if silent:
                self._silent[wish.namespace, wish.wanted.host] = self._clock() + SILENT_FOR
            self._begin()
