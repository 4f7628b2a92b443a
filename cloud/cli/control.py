"""Commands that put a hand on the brake: ``approve``, ``pause``, ``resume``, ``rollback``, ``halt``."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from cloud.cli import gather, output, report
from cloud.cli.gather import Seen
from cloud.cli.kube import Api, Conflict, connect
from cloud.cli.names import Name, StageName
from cloud.cli.options import Context, Format, Kubeconfig, Namespace, Output, some_words
from cloud.fleet.errors import Unavailable
from cloud.rollout import control
from cloud.rollout.control import Change
from cloud.rollout.release import Abort, Approval

By = Annotated[
    str | None, typer.Option("--by", metavar="WHO", help="Who decides; default: who the cluster says you are.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="WHY", help="Why; kept with the release.")]
NeededReason = Annotated[
    str, typer.Option("--reason", metavar="WHY", callback=some_words, help="Why; kept with the release.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it is done.")]
_ATTEMPTS: Final = 8  # the operator writes the status about once a second; each time the decision is made anew


@dataclass(frozen=True, slots=True)
class Hand:
    """Who changes which release, and how it is told."""

    api: Api
    namespace: str
    name: str
    form: Format

    def turn(self, decide: Callable[[Seen], Change], remarks: Mapping[str, str | None], *, ask: bool = False) -> None:
        """Decide on the release as it is now and write that, unless somebody was faster: then decide anew.

        Raises what ``decide`` objects to, Unavailable when the release keeps changing.
        """
        for attempt in range(_ATTEMPTS):
            one = gather.one_release(self.api, self.namespace, self.name)
            change = decide(one)
            if change.control is None:
                self._tell(change, changed=False)
                return
            if ask and attempt == 0:
                _confirm(self.name, change.sentence)
            metadata = {"resourceVersion": one.resource_version, "annotations": dict(remarks)}
            try:
                path = gather.release_path(self.namespace, self.name)
                self.api.merge(path, {"metadata": metadata, "spec": {"control": change.control}})
            except Conflict:
                continue
            self._tell(change, changed=True)
            return
        raise Unavailable(f"{self.name} was changed by others {_ATTEMPTS} times in a row; nothing was done, try again")

    def _tell(self, change: Change, *, changed: bool) -> None:
        if self.form is Format.JSON:
            output.show_json(
                {"namespace": self.namespace, "name": self.name, "changed": changed, "message": change.sentence}
            )
            return
        output.show(f"{self.name}: {change.sentence}.")
        if changed:
            output.show(f"Follow it: {output.program()} watch {self.name} -n {self.namespace}")


def approve(  # noqa: PLR0913 - one option each
    name: Name,
    *,
    stage: StageName,
    by: By = None,
    reason: Reason = "",
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    form: Output = Format.TEXT,
) -> None:
    """Let the stage start that waits for a person. Approving twice is the same as once.

    Examples:
      edgefleet approve vision-2-4-0 --stage early
      edgefleet approve vision-2-4-0 --stage rest --by "Li Wei" --reason "canary quiet for a day"
    """
    hand = _hand(name, namespace, kubeconfig, context, form)
    approval = Approval(stage=stage, by=by or hand.api.whoami(), reason=reason)
    hand.turn(lambda one: control.approve(one.release, one.status, approval), {})


def pause(  # noqa: PLR0913 - one option each
    name: Name,
    *,
    by: By = None,
    reason: Reason = "",
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    form: Output = Format.TEXT,
) -> None:
    """Start nothing new; what is under way ends.

    Examples:
      edgefleet pause vision-2-4-0 --reason "peak day"
    """
    hand = _hand(name, namespace, kubeconfig, context, form)
    remark = {report.PAUSE_REASON: _remark(by or hand.api.whoami(), reason)}
    hand.turn(lambda one: control.pause(one.release, one.status), remark)


def resume(
    name: Name,
    *,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    form: Output = Format.TEXT,
) -> None:
    """Go on after a pause.

    Examples:
      edgefleet resume vision-2-4-0
    """
    hand = _hand(name, namespace, kubeconfig, context, form)
    hand.turn(lambda one: control.resume(one.release, one.status), {report.PAUSE_REASON: None})


def rollback(  # noqa: PLR0913 - one option each
    name: Name,
    *,
    reason: NeededReason,
    by: By = None,
    yes: Yes = False,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    form: Output = Format.TEXT,
) -> None:
    """End a release for good and take its boxes back to what they ran before. Asks first.

    Examples:
      edgefleet rollback vision-2-4-0 --reason "belts stand still at hz-03"
      edgefleet rollback vision-2-4-0 --reason "wrong model" --yes
    """
    _abort(_hand(name, namespace, kubeconfig, context, form), Abort.ROLLBACK, (by, reason), yes=yes)


def halt(  # noqa: PLR0913 - one option each
    name: Name,
    *,
    reason: Reason = "",
    by: By = None,
    yes: Yes = False,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    form: Output = Format.TEXT,
) -> None:
    """End a release for good and leave every box as it is. Asks first.

    Examples:
      edgefleet halt vision-2-4-0 --reason "goes on next week as a new release"
    """
    _abort(_hand(name, namespace, kubeconfig, context, form), Abort.HALT, (by, reason), yes=yes)


def _hand(name: str, namespace: str | None, kubeconfig: str | None, context: str | None, form: Format) -> Hand:
    api = connect(kubeconfig, context)
    return Hand(api, namespace or api.namespace, name, form)


def _abort(hand: Hand, how: Abort, said: tuple[str | None, str], *, yes: bool) -> None:
    by, reason = said
    remark = {report.ABORT_REASON: _remark(by or hand.api.whoami(), reason)}
    bare = None
    if how is Abort.ROLLBACK:
        bare = gather.emptied(hand.api, hand.namespace, hand.name, datetime.now(UTC))
    hand.turn(lambda one: control.abort(one.release, one.status, how, bare), remark, ask=not yes)


def _remark(by: str, reason: str) -> str:
    return f"{by}: {reason}" if reason else by


def _confirm(name: str, consequence: str) -> None:
    """Have the release's name typed. Raises BadParameter where nobody can type, Exit where it is not the name."""
    sys.stderr.write(f"{name}: {consequence}. This is for good.\n")
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here; give --yes to do it without a question")
    sys.stderr.write(f"Type the release's name to go on ({name}): ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != name:
        output.complain("not the name; nothing was done")
        raise typer.Exit(1)
