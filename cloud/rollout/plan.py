"""What a release does next.

``plan`` is a pure function of what was gathered and of the time: the same snapshot gives the same plan, whoever asks
and however often the operator was restarted in between. It looks at the boxes, closes the books, judges
the failures, lets stages pass and start, and then moves as many boxes as nothing objects to.
"""

from datetime import datetime
from functools import partial

from cloud.rollout.actions import Plan
from cloud.rollout.books import books
from cloud.rollout.budget import open_ledger
from cloud.rollout.checks import release_objection, retreat
from cloud.rollout.observe import observe
from cloud.rollout.outcome import Outcome
from cloud.rollout.progress import advance, breach_note, judge_failures
from cloud.rollout.report import report
from cloud.rollout.snapshot import Snapshot
from cloud.rollout.stages import standing_stages
from cloud.rollout.turn import Turn, bring_forward, call_off, take_back
from cloud.rollout.waiting import recheck_after


def plan(snapshot: Snapshot, now: datetime) -> Plan:
    """Return what to write, which boxes to move and what to tell now."""
    known = snapshot.status
    stages = standing_stages(snapshot.release, known)
    look = observe(snapshot, now)
    ledger = open_ledger(snapshot, look.efforts, now)
    reckon = partial(books, efforts=dict(look.efforts), ledger=ledger, now=now)
    opened = reckon(snapshot, stages)
    judged = snapshot.breached(judge_failures(snapshot, look.efforts, opened, now))
    objection, how_far = release_objection(judged), retreat(judged)
    progress = advance(judged, stages, opened, reckon, now)
    turn = Turn(judged, look, ledger, now)
    before = dict(look.efforts)
    held = take_back(turn, how_far)
    if objection is None:
        held += bring_forward(turn, progress.books, progress.stages)
    else:
        call_off(turn)
    changed = judged.only(name for name in look.efforts | before if look.efforts.get(name) is not before.get(name))
    outcome = Outcome(
        books=progress.books.amended(books(changed, progress.stages, look.efforts, ledger, now)),
        progress=progress,
        efforts=look.efforts,
        objections=tuple(one for one in (objection, progress.objection, *held) if one is not None),
        retreat=how_far,
        moving=frozenset(look.moves),
    )
    notes = (*look.notes, *breach_note(known.breach, judged.status.breach), *progress.notes)
    status, phase_notes = report(judged, outcome, now)
    return Plan(status, tuple(look.moves.values()), notes + phase_notes, recheck_after(judged, status, now))
