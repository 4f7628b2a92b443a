"""The demo's story, chapter by chapter: composition of theatre, releases and narrator; the judges are in play.py."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from edgeagent.wire import Address
from simulator import news, play
from simulator.adjust import share_of
from simulator.course import Line, Sign, count, course
from simulator.devices import Devices
from simulator.evidence import Release
from simulator.expectations import Case
from simulator.fleet import Role
from simulator.mishaps import Blow, Change, Mishap
from simulator.narrate import Narrator
from simulator.news import News
from simulator.play import Manifest, Promise, ground_of
from simulator.rehearsal import Result
from simulator.scenario import Ailment, Deed
from simulator.theatre import Theatre
from simulator.timeline import only_dark_boxes_left, some, stands_still
from simulator.watching import Place, Watch

CHAPTER_SECONDS: Final = 180.0  # a chapter that takes longer has gone wrong
CRASH_AFTER: Final = 3.0
STRIKE_SECONDS: Final = 10.0  # for something to befall a simulated box
NEWS_SECONDS: Final = 30.0  # after which nobody waits for a notice any more


class StuckError(Exception):
    """A chapter did not come to its end in time; the text says where it stood."""


@dataclass(slots=True)
class Story:
    """The demo while it is played."""

    stage: Theatre
    watch: Watch
    devices: Devices
    narrator: Narrator
    results: list[Result] = field(default_factory=list)
    told: dict[str, int] = field(default_factory=dict)  # lines told, by release
    approved: dict[str, float] = field(default_factory=dict)
    news: list[News] = field(default_factory=list)  # what people were told
    posts: int = 0  # of the robot that were read

    def everything(self) -> None:
        """Play all chapters; what is not reached counts as not kept."""
        chapters: tuple[tuple[Callable[[], None], tuple[Promise, ...]], ...] = (
            (self.first_versions, play.SCAN_ONE),
            (self.second_scan, (*play.SCAN_TWO, play.SITE_CUT, play.SITES_DARK)),
            (self.bad_vision, play.BAD_VISION),
            (self.breakdowns, play.BREAKDOWNS),
        )
        for number, (chapter, _) in enumerate(chapters):
            try:
                chapter()
            except StuckError as stuck:
                self.narrator.say(self.now(), Sign.BAD, str(stuck))
                self.results += [row for _, promises in chapters[number:] for row in play.unkept(promises)]
                return
            finally:
                self.narrator.quiet()

    def first_versions(self) -> None:
        """The first versions, scan 1.0 and vision 1.0, go everywhere."""
        self.narrator.heading("Every box gets its first programs")
        self.stage.cluster.kube.create("/api/v1/namespaces", {"metadata": {"name": play.NAMESPACE}})
        scan, vision = play.first(Role.SCAN), play.first(Role.VISION)
        created = self.create(scan)
        self.create(vision)
        self.follow((scan, vision), stands_still)
        self.results += self.judge(play.SCAN_ONE, scan, "", created)

    def second_scan(self) -> None:
        """A good version walks through the fleet while seven sites are dark, which catch up in the end."""
        dark = play.darkened(self.stage.cluster.fleet)
        self.narrator.heading(f"scan 2.0 goes out, while {count(len(dark), 'site is', 'sites are')} cut off")
        dark_at = self.now()
        self.stage.cut(*dark)
        self.say(Sign.NOTE, f"{uplinks_of(dark)} cut")
        self.narrator.progress("until Kubernetes notices, which takes about 20 s")
        self.stage.wait_dark(dark)
        self.say(Sign.DARK, f"{count(len(dark), 'site has', 'sites have')} gone dark; the programs there go on working")
        scan = play.second_scan()
        created = self.create(scan)
        self.follow((scan,), lambda release: release is not None and release.phase == "AwaitingApproval")
        self.approve(scan)
        torn = play.torn(self.stage.cluster.fleet)
        self.follow((scan,), lambda release: release is not None and release.phase != "AwaitingApproval")
        cut_at = self.cut_one_more(torn)
        self.follow((scan,), lambda release: release is not None and only_dark_boxes_left(release))
        self.hear(torn, cut_at)
        seven, dark = dark, (*dark, torn)
        waiting = count(len(dark), "site is", "sites are")
        self.say(Sign.GOOD, f"scan 2.0 is on every box within reach; {waiting} still dark")
        self.narrator.heading("The dark sites return")
        healed_at = self.now()
        self.stage.heal(*dark)
        self.say(Sign.NOTE, f"{uplinks_of(dark)} whole again")
        self.narrator.progress("until the boxes there have reached the cloud, 10 to 40 s")
        self.follow((scan,), lambda _: self.stage.back_since(dark) is not None)
        at = self.stage.back_since(dark) or self.now()
        self.narrator.say(at, Sign.GOOD, f"{count(len(dark), 'site is', 'sites are')} online again")
        self.follow((scan,), stands_still)
        self.results += self.judge(play.SCAN_TWO, scan, play.first(Role.SCAN)["metadata"]["name"], created)
        self.results.append(news.once(play.SITE_CUT.expected, self.news, [(torn, cut_at)], healed_at))
        faults = [(site, dark_at) for site in seven]
        self.results.append(news.once(play.SITES_DARK.expected, self.news, faults, healed_at))

    def bad_vision(self) -> None:
        """A bad version crashes wherever it starts, so it ends at its canary."""
        self.narrator.heading("A bad version: vision 2.0-bad crashes soon after it starts")
        bad = play.bad_vision()
        for box in ground_of(self.stage.cluster.fleet, Role.VISION).boxes_in_order():
            ailment = Ailment(crash_after=CRASH_AFTER, exit_code=137)
            self.stage.ail(box, ailment, Deed.CRASH, play.image("vision", "2.0-bad"))
        created = self.create(bad)
        self.follow((bad,), stands_still)
        self.follow((bad,), lambda _: self.canary_is_back(bad))
        self.results += self.judge(play.BAD_VISION, bad, play.first(Role.VISION)["metadata"]["name"], created)

    def cut_one_more(self, site: str) -> float:
        """Cut a site while a release walks through the fleet; returns when."""
        at = self.now()
        self.stage.cut(site)
        self.narrator.say(at, Sign.NOTE, f"{uplinks_of((site,))} cut in the middle of it")
        return at

    def breakdowns(self) -> None:
        """Something on a box ends, and people are told within seconds."""
        self.narrator.heading("Something breaks, and the people on duty are told")
        self.agent_killed()
        fleet = self.stage.cluster.fleet
        scan, vision = play.broken(fleet, Role.SCAN), play.broken(fleet, Role.VISION)
        crash, stall = Blow(0.0, Mishap.CRASH, part=play.SCAN, exit=137), Blow(0.0, Mishap.STALL, part=play.VISION)
        self.befall(scan, crash, (Change.CRASH, Change.RUN), play.CRASHED, "scan crashes on")
        self.befall(vision, stall, (Change.STALL, Change.MOVE), play.STALLED, "vision stands still on")
        self.stage.cluster.stop_box(vision[1].name)
        power_loss = Blow(0.0, Mishap.POWER_LOSS)
        self.befall(vision, power_loss, (Change.POWER_OFF, None), play.POWER_LOST, "there is no more power for")

    def agent_killed(self) -> None:
        """A real agent ends in the middle of its work."""
        ((_, box), *_) = play.with_agents(self.stage.cluster.fleet)
        at = self.now()
        self.watch.kill_agent(box.name)
        self.narrator.say(at, Sign.NOTE, f"the agent on {box.name} is killed")
        self.hear(box.name, at)
        self.results.append(news.once(play.AGENT_KILLED.expected, self.news, [(box.name, at)]))
        self.watch.start_agent(box.name)
        self.say(Sign.NOTE, f"the agent on {box.name} is started again")
        self.hear(box.name, at, over=True)

    def befall(
        self, where: Place, blow: Blow, changes: tuple[Change, Change | None], promise: Promise, told: str
    ) -> None:
        """Let something befall a simulated box, and mend it once people were told."""
        site, box = where
        address, (begin, mend) = [Address(site.name, box.name)], changes
        at = self.stage.recorder.at(self.devices.strike(begin, address, blow).result(STRIKE_SECONDS))
        self.narrator.say(at, Sign.NOTE, f"{told} {box.name}")
        self.hear(box.name, at)
        self.results.append(news.once(promise.expected, self.news, [(box.name, at)]))
        if mend is not None:
            self.devices.strike(mend, address, blow)
            self.hear(box.name, at, over=True)

    def hear(self, name: str, since: float, *, over: bool = False) -> None:
        """Wait until people were told of a site or box, or that it is well again; longer than that is judged later."""
        self.narrator.progress(f"until people are told of {name}")
        for _ in self.stage.looks(NEWS_SECONDS):
            self.tell_news()
            if any(one.names(name) and one.over is over and one.at >= since for one in self.news):
                return

    def tell_news(self) -> None:
        """Tell what has come to the robot, as it would show it."""
        posts = self.watch.robot.posts[self.posts :]
        self.posts += len(posts)
        for post in posts:
            for one in news.read(post.text, self.stage.recorder.at(post.at)):
                self.news.append(one)
                self.narrator.say(one.at, Sign.NEWS, "\n".join((f"[{one.mark}] {one.title}", *one.lines)))

    def canary_is_back(self, bad: Manifest) -> bool:
        """Whether no box has a pod of the bad version any more."""
        evidence = self.stage.recorder.evidence()
        versions = evidence.of_release(bad["metadata"]["name"])
        return not any(seen[-1].version in versions and not seen[-1].gone for seen in evidence.pods.values())

    def create(self, manifest: Manifest) -> float:
        """Create a release and say so; returns when."""
        at = self.stage.release(manifest)
        self.narrator.say(at, Sign.STEP, f"{title(manifest)} is released")
        return at

    def approve(self, manifest: Manifest) -> None:
        """A person says yes."""
        metadata = manifest["metadata"]
        given = [{"stage": "rest", "by": play.APPROVER, "reason": "the first sites look good"}]
        self.approved["rest"] = self.stage.approve(metadata["namespace"], metadata["name"], given)
        self.narrator.say(self.approved["rest"], Sign.GOOD, f"{play.APPROVER} approves: all other sites may follow")

    def follow(self, manifests: Sequence[Manifest], until: Callable[[Release | None], bool]) -> None:
        """Tell the course of releases until each is so far. Raises StuckError when that takes too long."""
        last: list[Release | None] = []
        for evidence in self.stage.looks(CHAPTER_SECONDS):
            last = [evidence.last(manifest["metadata"]["name"]) for manifest in manifests]
            for manifest in manifests:
                self.tell(manifest, course(evidence.releases.get(manifest["metadata"]["name"], ())))
            seen = [one for one in last if one]
            done, targeted = (sum(one.counts.get(key, 0) for one in seen) for key in ("succeeded", "targeted"))
            self.narrator.progress(f"boxes with {' and '.join(map(title, manifests))}", done, targeted)
            self.tell_news()
            if all(until(one) for one in last):
                return
        stuck = next(index for index, one in enumerate(last) if not until(one))
        release = last[stuck]
        where = f"it is {release.phase}: {release.message}" if release else "the operator has said nothing of it"
        raise StuckError(f"{title(manifests[stuck])} did not get on within {CHAPTER_SECONDS:.0f} s; {where}")

    def tell(self, manifest: Manifest, lines: tuple[Line, ...]) -> None:
        """Tell the lines of a release that were not told yet."""
        name = manifest["metadata"]["name"]
        for line in lines[self.told.get(name, 0) :]:
            self.narrator.say(line.at, line.sign, f"{title(manifest)}: {line.text}")
        self.told[name] = len(lines)

    def judge(self, promises: tuple[Promise, ...], manifest: Manifest, before: str, created: float) -> list[Result]:
        """Judge what was seen of a release."""
        workload = manifest["spec"]["workload"]["name"]
        ground = ground_of(self.stage.cluster.fleet, Role(workload))
        share = manifest["spec"].get("budget", {}).get("maxParallelSites", "10%")
        case = Case(
            release=manifest["metadata"]["name"],
            workload=workload,
            before=before,
            ground=ground,
            created=created,
            parallel_sites=share_of(share, len(ground.sites)),
            cut=frozenset(self.stage.ever_dark),
            approvals=self.approved,
        )
        return play.results(promises, self.stage.recorder.evidence(), case)

    def say(self, sign: Sign, text: str) -> None:
        """Tell what is so now."""
        self.narrator.say(self.now(), sign, text)

    def now(self) -> float:
        """Seconds since the beginning."""
        return self.stage.recorder.now()


def uplinks_of(sites: Sequence[str]) -> str:
    """The beginning of a sentence about the uplinks of sites."""
    return f"the uplink of {sites[0]} is" if len(sites) == 1 else f"the uplinks of {some(sites)} are"


def title(manifest: Manifest) -> str:
    """A release as people call it: scan 2.0."""
    containers = manifest["spec"]["workload"]["template"]["spec"]["containers"]
    version = containers[0]["image"].rpartition(":")[2]
    return f"{manifest['spec']['workload']['name']} {version}"
