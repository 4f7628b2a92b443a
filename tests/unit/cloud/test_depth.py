"""An object as deep as the API server takes them can be read, copied and refused, by the main thread and by others."""

import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[3]
PROGRAM = """
import copy, json, resource, threading
from cloud import depth
depth.make_room()
assert resource.getrlimit(resource.RLIMIT_STACK)[0] in {depth.STACK, resource.getrlimit(resource.RLIMIT_STACK)[1]}
from cloud.rollout.parsing import parse
from cloud.rollout.views import Kind
from tests.unit.cloud.rollout.raw import raw_release

raw = raw_release(spec={"workload": {"name": "scan", "template": "deep"}})
text = json.dumps(raw).replace('"deep"', '{"a":' * depth.DEEPEST + "1" + "}" * depth.DEEPEST)

def read():
    print(parse(Kind.RELEASE, copy.deepcopy(json.loads(text))).problem)

read()
thread = threading.Thread(target=read)
thread.start()
thread.join()
print(depth.reads_all())
"""


def test_the_deepest_object_is_read_and_refused_in_words() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], cwd=TREE, capture_output=True, text=True, check=False)
    if sys.version_info >= (3, 12) and "RecursionError" in ended.stderr:
        pytest.skip("this Python's JSON reader has a limit of its own")
    assert ended.returncode == 0, ended.stderr
    *refused, reads_all = ended.stdout.splitlines()
    assert refused == ["nested deeper than 50: write a shallower object, see kubectl explain"] * 2
    assert reads_all == "True"
