"""When a cutover may start at a site."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cloud.fleet.site import zone_of
from cloud.fleet.window import SITE_ZONE, Window, occurrences


class NoZone(Exception):  # noqa: N818 - it states what the site lacks
    """The site has no time zone, and it has no window that can be told without one."""


class OddZone(Exception):  # noqa: N818 - it states what is wrong with the windows
    """No window is in a time zone that exists; its words name one that does not."""


@lru_cache(maxsize=256)  # ten thousand boxes stand in a handful of time zones
def next_start(
    windows: tuple[Window, ...], site_zone: ZoneInfo | None, now: datetime, needs: timedelta
) -> datetime | None:
    """Return the first moment from ``now`` on at which a cutover that needs so long may start.

    ``now`` itself if a window is open long enough; None if no window is ever long enough.
    Times are computed in the window's zone and compared in UTC, so a day of 23 or 25 hours is no special case.
    A window whose time cannot be told closes no other. Raises NoZone if none can be told and the site's time zone is
    missing, OddZone if none can be told and only zones that do not exist are.
    """
    if not windows:
        return now
    told = [(window, zone) for window in windows if (zone := _zone(window, site_zone)) is not None]
    if not told:
        odd = zone_problems(windows)
        raise OddZone(odd[0]) if all(window.tz != SITE_ZONE for window in windows) else NoZone
    starts = [
        max(opens, now)
        for window, zone in told
        for opens, closes in occurrences(window, zone, now)
        if max(opens, now) + needs <= closes
    ]
    return min(starts, default=None)


def never_fits(windows: tuple[Window, ...], needs: timedelta) -> tuple[Window, ...]:
    """Return the windows that are always shorter than what a cutover needs."""
    return tuple(window for window in windows if _length(window) < needs)


def zone_problems(windows: tuple[Window, ...]) -> tuple[str, ...]:
    """Return the names of time zones that do not exist."""
    names = {window.tz for window in windows} - {SITE_ZONE}
    return tuple(sorted(name for name in names if zone_of(name) is None))


def sites_without_zone(windows: tuple[Window, ...], sites: set[str], zones: Mapping[str, ZoneInfo]) -> tuple[str, ...]:
    """Return the sites whose windows cannot be told because they have no time zone."""
    if all(window.tz != SITE_ZONE for window in windows):
        return ()
    return tuple(sorted(sites - zones.keys()))


def _zone(window: Window, site_zone: ZoneInfo | None) -> ZoneInfo | None:
    return site_zone if window.tz == SITE_ZONE else zone_of(window.tz)


def _length(window: Window) -> timedelta:
    span = timedelta(
        hours=window.to.hour - window.from_.hour,
        minutes=window.to.minute - window.from_.minute,
    )
    return span if span > timedelta(0) else span + timedelta(days=1)
