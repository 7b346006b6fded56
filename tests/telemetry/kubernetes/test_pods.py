"""What a pod's status means for its workload."""

import json
from math import inf

import msgspec
import pytest

from telemetry.sources.kubernetes.objects import Pod
from telemetry.sources.kubernetes.pods import CALM, KILLED, STARTING, seen

from . import samples
from .samples import NOW, at, container, crashing, ended, waiting


def of(**given):
    return seen(msgspec.json.decode(json.dumps(samples.pod(**given)).encode(), type=Pod))


def running(ago, **over):
    return container(ready=False, state={"running": {"startedAt": at(-ago)}}, **over)


def test_a_ready_pod_in_brief():
    pod = of()
    assert (pod.namespace, pod.name, pod.uid, pod.version) == ("shop", "web-1-a", "p-web-1-a", 102)
    assert (pod.owner, pod.ready, pod.gone, pod.restarts) == ("r-web-1", True, False, 0)
    assert (pod.started_at, pod.waits_since, pod.crash_until, pod.killed_until) == (NOW - 3600, inf, 0.0, 0.0)
    assert (pod.no_image, pod.trouble) == (False, "")


def test_what_waits_between_two_crashes_is_in_a_crash_loop_and_sick():
    pod = of(containers=[crashing(restarts=5)])
    assert (pod.ready, pod.crash_until, pod.restarts) == (False, inf, 5)
    assert pod.trouble == "web-1-a, container app: CrashLoopBackOff, last end Error, exit code 1, 5 restarts"


def test_the_moments_in_which_it_runs_are_no_recovery():
    pod = of(containers=[running(20, restarts=4, last=ended(ago=25))])
    assert pod.crash_until == NOW - 20 + CALM


def test_one_restart_is_no_loop_and_no_more_is_a_job_that_completes():
    assert of(containers=[running(20, restarts=1, last=ended())]).crash_until == 0.0
    assert of(containers=[running(20, restarts=9, last=ended("Completed", 0))]).crash_until == 0.0


def test_a_loop_of_an_init_container_is_a_loop():
    pod = of(containers=[], status={"phase": "Pending", "initContainerStatuses": [crashing(name="migrate")]})
    assert (pod.ready, pod.crash_until, pod.container) == (False, inf, "migrate")


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
def test_an_image_that_cannot_be_pulled_is_sick_and_names_itself(reason):
    pod = of(containers=[waiting(reason, 'Back-off pulling image "web:8"\nnot found')], status={"phase": "Pending"})
    assert (pod.ready, pod.no_image, pod.crash_until) == (False, True, 0.0)
    assert pod.trouble == f'web-1-a, container app: {reason}: Back-off pulling image "web:8" not found'


def test_words_of_the_cluster_are_one_printable_line_of_bounded_length():
    pod = of(containers=[waiting("ErrImagePull", "\x1b[31m" + "x" * 5000)])
    assert pod.trouble.isprintable()
    assert len(pod.trouble) < 300


def test_a_kill_for_memory_counts_for_a_while_from_the_kill_on():
    pod = of(containers=[running(20, restarts=1, last=ended("OOMKilled", 137, ago=25))])
    assert pod.killed_until == NOW - 25 + KILLED
    assert pod.trouble == "web-1-a, container app: OOMKilled, exit code 137, 1 restart"


def test_what_has_just_started_is_not_known_yet_and_sick_after_a_while():
    pod = of(containers=[running(10, started=True)])
    assert (pod.ready, pod.settles_at) == (None, NOW - 10 + STARTING)


def test_what_a_startup_probe_still_lets_start_is_not_sick_however_long_it_takes():
    pod = of(containers=[running(9000, started=False)])
    assert (pod.ready, pod.settles_at) == (None, inf)


def test_what_crashed_and_is_not_ready_again_is_sick_also_in_the_moments_in_which_it_runs():
    assert of(containers=[running(2, restarts=1, started=True, last=ended())]).ready is False
    assert of(containers=[running(2, restarts=1, started=True, last=ended("Completed", 0))]).ready is None


def test_what_was_ready_and_is_no_more_is_sick_at_once():
    lost = [{"type": "Ready", "status": "False", "lastTransitionTime": at(-5)}]
    pod = of(containers=[running(60, started=True)], status={"conditions": lost})
    assert pod.ready is False


def test_what_waits_for_a_node_is_not_known_and_tells_since_when_it_waits():
    pod = of(containers=[], status={"phase": "Pending", "conditions": []})
    assert (pod.ready, pod.settles_at, pod.waits_since, pod.started_at) == (None, inf, NOW - 3600, 0.0)


@pytest.mark.parametrize("over", [{"status": {"phase": "Failed"}}, {"metadata": {"deletionTimestamp": at(0)}}])
def test_what_ended_or_is_being_deleted_is_no_instance(over):
    assert of(**over).gone


def test_a_pod_that_nobody_owns_has_no_owner():
    assert of(metadata={"ownerReferences": []}).owner == ""
    foreign = [{"kind": "Node", "name": "n", "uid": "n-1"}]
    assert of(metadata={"ownerReferences": foreign}).owner == ""
