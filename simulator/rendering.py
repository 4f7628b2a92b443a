"""A rehearsal's report as JSON and as JUnit XML; the terminal's is in narrate.py."""

import json
import re
from typing import Any, Final

from simulator.rehearsal import Report, Result, ending, summary

UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # no XML may hold them
ESCAPED: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})


def as_json(report: Report, *, exit_code: int) -> str:
    """Everything, for programs; times in seconds since the release was created."""
    asked, boxes = report.asked, report.boxes
    told: dict[str, Any] = {
        "release": asked.case.release,
        "workload": asked.case.workload,
        "image": asked.image,
        "imageBefore": asked.image_before,
        "scenario": {"name": asked.scenario.name, "sentence": asked.scenario.sentence, "ends": asked.scenario.ends},
        "fleet": asked.fleet,
        "changes": list(asked.changes),
        "summary": summary(report),
        "stopped": report.stopped,
        "why": report.why,
        "phase": report.phase,
        "seconds": tenths(report.seconds),
        "exitCode": exit_code,
        "boxes": {
            "targeted": boxes.targeted,
            "released": boxes.released,
            "wentBack": boxes.went_back,
            "neverTouched": boxes.never_touched,
            "deferred": boxes.deferred,
            "caughtUp": boxes.caught_up,
        },
        "expectations": [
            {
                "name": result.name,
                "expected": result.promise,
                "ok": result.ok,
                "happened": result.happened,
                "seconds": None if result.seconds is None else tenths(result.seconds),
            }
            for result in report.results
        ],
        "failures": list(report.failures),
        "notDone": list(report.undone),
        "course": [{"at": tenths(line.at), "sign": line.sign, "text": line.text} for line in report.lines],
    }
    return json.dumps(told, ensure_ascii=False, indent=2) + "\n"


def as_junit(report: Report, *, stop_is_right: bool) -> str:
    """A case an expectation, and one for being stopped, in the dialect that GitHub's and GitLab's readers share."""
    suite = f"rehearsal of {report.asked.case.release}: {report.asked.scenario.name}"
    results = (*report.results, ending(report, stop_is_right=stop_is_right))
    failed = sum(1 for result in results if not result.ok)
    numbers = f'tests="{len(results)}" failures="{failed}" errors="0" skipped="0" time="{tenths(report.seconds)}"'
    cases = "".join(case_of(result, report) for result in results)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<testsuites {numbers}>\n"
        f"<testsuite name={attribute(suite)} {numbers}>\n"
        f"{cases}"
        f"<system-out>{text(course_of(report))}</system-out>\n"
        "</testsuite>\n</testsuites>\n"
    )


def case_of(result: Result, report: Report) -> str:
    """One test case."""
    group = f"edgefleet.rehearsal.{report.asked.scenario.name}"
    head = f"<testcase classname={attribute(group)} name={attribute(result.promise)}"
    head += f' time="{tenths(result.seconds or 0)}"'
    if result.ok:
        return f"{head}/>\n"
    more = "\n".join((result.happened, *report.failures))
    what = f"<failure type={attribute(result.name)} message={attribute(result.happened)}>"
    return f"{head}>\n{what}{text(more)}</failure>\n</testcase>\n"


def course_of(report: Report) -> str:
    """What happened as plain lines."""
    return "\n".join([summary(report), *(f"{tenths(line.at):7.1f} s  {line.text}" for line in report.lines)])


def tenths(seconds: float) -> float:
    """Seconds as they are told; what rounds to nothing has no sign."""
    return round(seconds, 1) + 0.0


def text(words: str) -> str:
    """Words as the content of an element."""
    return UNPRINTABLE.sub("?", words).translate(ESCAPED)


def attribute(words: str) -> str:
    """Words as the value of an attribute, with its quotes."""
    return f'"{text(words)}"'
