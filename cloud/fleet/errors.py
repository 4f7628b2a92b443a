"""The errors of the cloud side; the type says who has to act."""


class SpecError(Exception):
    """The user has to change what was asked for: shown in the resource's condition, never retried."""


class Unavailable(Exception):  # noqa: N818 - it states a condition of the world, not a mistake
    """Nobody has to act: something remote did not answer in time; retried with back-off by the caller."""


class Late(Unavailable):
    """It takes so long that whoever waits should say so."""
