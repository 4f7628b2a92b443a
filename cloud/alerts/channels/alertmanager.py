"""An Alertmanager, which then does routing, grouping and silences itself.

Source: prometheus.io, Alertmanager's API v2: POST /api/v2/alerts. An alert is what its labels say, and ends at its
``endsAt`` where it is not sent again. Ours stand for a year, for we say when they end; and as code and severity are
labels, which may change, those of the family that do not hold are sent as ended.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from cloud.alerts.catalogue import CATALOGUE
from cloud.alerts.channels.form import Form, Message, Style, by_status, runbook
from cloud.alerts.fault import Code
from cloud.alerts.notice import Language, Notice, Occasion

STANDS: Final = timedelta(days=365)


def message(notices: Sequence[Notice], style: Style, _: datetime) -> Message:
    """Return one message that tells of all these."""
    alerts = [_alert(one, code, style) for one in notices for code in _family(one.code)]
    return Message(json.dumps(alerts, ensure_ascii=False).encode(), headers={"Content-Type": "application/json"})


def _family(code: Code) -> list[Code]:
    return [one for one, entry in CATALOGUE.items() if entry.family is CATALOGUE[code].family]


def _alert(notice: Notice, code: Code, style: Style) -> dict[str, Any]:
    words = notice.words[style.language]
    holds = code is notice.code and notice.occasion is not Occasion.RESOLVED
    labels = {
        "alertname": code.value,
        "severity": CATALOGUE[code].severity.value,
        "alert": notice.fingerprint,
        "site": notice.subject.site,
    }
    annotations = {"summary": words.title, "description": "\n".join(words.lines), "advice": words.advice}
    annotations |= {f"summary_{language}": notice.words[language].title for language in Language}
    return {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {name: value for name, value in annotations.items() if value},
        "startsAt": notice.since.isoformat(),
        "endsAt": (notice.at + STANDS if holds else notice.at).isoformat(),
        "generatorURL": runbook(notice, style),
    }


FORM: Final = Form(message, by_status)
