"""Jobs and CronJobs with one thing wrong: which field is blamed, and in which words."""

from __future__ import annotations

import pytest

from knarr_api import defaults, json, kinds, validation
from knarr_api.merge_patch import merge_patch

POD = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "work:1"}]}
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "work", "namespace": "default", "uid": "u-1"},
    "spec": {"template": {"spec": POD}},
}
CRON_JOB = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "nightly", "namespace": "default"},
    "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": POD}}}},
}
INDEXED = {**JOB, "spec": {"completionMode": "Indexed", "completions": 5, "template": {"spec": POD}}}
GOOD = {"job": JOB, "indexed": INDEXED, "cronjob": CRON_JOB}


def spec(**fields):
    return {"spec": fields}


def rule(**fields):
    return spec(podFailurePolicy={"rules": [{"action": "Count", **fields}]})


def codes(**fields):
    return rule(onExitCodes={"operator": "In", "values": [1], **fields})


def success(**fields):
    return spec(successPolicy={"rules": [fields]})


POLICY, RULE = "spec.podFailurePolicy", "spec.podFailurePolicy.rules[0]"
SUCCESS = "spec.successPolicy.rules[0]"
ROWS = [
    ("job", spec(parallelism=-1), "spec.parallelism: Invalid value: -1: must be greater than or equal to 0"),
    ("job", spec(completions=-1), "spec.completions: Invalid value: -1"),
    ("job", spec(activeDeadlineSeconds=-1), "spec.activeDeadlineSeconds: Invalid value: -1"),
    ("job", spec(backoffLimit=-1), "spec.backoffLimit: Invalid value: -1"),
    ("job", spec(ttlSecondsAfterFinished=-1), "spec.ttlSecondsAfterFinished: Invalid value: -1"),
    ("job", spec(completionMode="Some"), 'spec.completionMode: Unsupported value: "Some": supported values: "Indexed"'),
    ("job", spec(completionMode="Indexed", parallelism=1), "spec.completions: Required value: when completion mode is"),
    ("job", spec(managedBy="me"), 'spec.managedBy: Invalid value: "me": must be a domain-prefixed path'),
    ("job", spec(managedBy=f"acme.io/{'x' * 64}"), "spec.managedBy: Too long"),
    (
        "job",
        spec(backoffLimitPerIndex=1),
        "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
    ),
    (
        "indexed",
        spec(maxFailedIndexes=1),
        "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
    ),
    (
        "indexed",
        spec(maxFailedIndexes=6, backoffLimitPerIndex=1),
        "spec.maxFailedIndexes: Invalid value: 6: must be less than or equal to completions",
    ),
    (
        "indexed",
        spec(parallelism=100_001),
        "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000",
    ),
    (
        "indexed",
        spec(completions=100_001, backoffLimitPerIndex=1),
        "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
    ),
    (
        "indexed",
        {"metadata": {"name": "x" * 62}},
        f'metadata.name: Invalid value: "{"x" * 62}": will not able to create pod with invalid DNS label: ',
    ),
    (
        "job",
        spec(template={"spec": {"restartPolicy": None}}),
        'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
    ),
    (
        "job",
        spec(template={"spec": {"restartPolicy": "Often"}}),
        'spec.template.spec.restartPolicy: Unsupported value: "Often"',
    ),
    ("job", spec(template={"spec": {"containers": None}}), "spec.template.spec.containers: Required value"),
    (
        "job",
        spec(selector={"matchLabels": {"a": "b"}}),
        'spec.selector: Invalid value: "a=b": `selector` not auto-generated',
    ),
    (
        "job",
        spec(manualSelector=True, selector={"matchLabels": {"a": "b"}}),
        'spec.template.metadata.labels: Invalid value: "": `selector` does not match template `labels`',
    ),
    ("job", spec(manualSelector=True), "spec.selector: Required value"),
    ("job", spec(podReplacementPolicy="Never"), 'spec.podReplacementPolicy: Unsupported value: "Never"'),
    (
        "job",
        merge_patch(codes(), spec(podReplacementPolicy="TerminatingOrFailed")),
        'spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"',
    ),
    (
        "job",
        merge_patch(codes(), spec(template={"spec": {"restartPolicy": "OnFailure"}})),
        'spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy',
    ),
    ("job", rule(), f"{RULE}: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"),
    (
        "job",
        merge_patch(codes(), {}) | rule(onExitCodes={"operator": "In", "values": [1]}, onPodConditions=[{"type": "A"}]),
        f"{RULE}: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported",
    ),
    ("job", rule(action="Panic", onPodConditions=[{"type": "A"}]), f'{RULE}.action: Unsupported value: "Panic"'),
    ("job", rule(action=None, onPodConditions=[{"type": "A"}]), f"{RULE}.action: Required value"),
    (
        "job",
        rule(action="FailIndex", onPodConditions=[{"type": "A"}]),
        f'{RULE}.action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set',
    ),
    ("job", codes(operator="Like"), f'{RULE}.onExitCodes.operator: Unsupported value: "Like"'),
    ("job", codes(values=[]), f'{RULE}.onExitCodes.values: Invalid value: "[]": at least one value is required'),
    ("job", codes(values=[0]), f"{RULE}.onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator"),
    ("job", codes(values=[1, 1]), f"{RULE}.onExitCodes.values[1]: Duplicate value: 1"),
    ("job", codes(values=[2, 1]), f"{RULE}.onExitCodes.values: Invalid value: [2, 1]: must be ordered"),
    (
        "job",
        codes(containerName="x"),
        f'{RULE}.onExitCodes.containerName: Invalid value: "x": must be one of the container',
    ),
    ("job", rule(onPodConditions=[{"type": "a b"}]), f'{RULE}.onPodConditions[0].type: Invalid value: "a b"'),
    (
        "job",
        rule(onPodConditions=[{"type": "A", "status": "Maybe"}]),
        f'{RULE}.onPodConditions[0].status: Unsupported value: "Maybe"',
    ),
    (
        "job",
        spec(podFailurePolicy={"rules": [{"action": "Count", "onPodConditions": [{"type": "A"}]}] * 21}),
        f"{POLICY}.rules: Too many: 21: must have at most 20 items",
    ),
    ("job", success(succeededCount=1), "spec.successPolicy: Invalid value: requires indexed completion mode"),
    (
        "indexed",
        spec(successPolicy={}),
        "spec.successPolicy.rules: Required value: at least one rules must be specified",
    ),
    ("indexed", success(), f"{SUCCESS}: Required value: at least one of succeededCount or succeededIndexes"),
    (
        "indexed",
        success(succeededCount=6),
        f"{SUCCESS}.succeededCount: Invalid value: 6: must be less than or equal to 5",
    ),
    (
        "indexed",
        success(succeededCount=3, succeededIndexes="0-1"),
        f"{SUCCESS}.succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of indexes",
    ),
    ("indexed", success(succeededIndexes="a"), f'{SUCCESS}.succeededIndexes: Invalid value: "a": error parsing'),
    ("indexed", success(succeededIndexes="3,1"), f'{SUCCESS}.succeededIndexes: Invalid value: "3,1": error parsing'),
    ("indexed", success(succeededIndexes="0-5"), f'{SUCCESS}.succeededIndexes: Invalid value: "0-5": error parsing'),
    (
        "cronjob",
        {"metadata": {"name": "x" * 53}},
        f'metadata.name: Invalid value: "{"x" * 53}": must be no more than 52',
    ),
    ("cronjob", spec(schedule=None), "spec.schedule: Required value"),
    (
        "cronjob",
        spec(schedule="0 3 * *"),
        'spec.schedule: Invalid value: "0 3 * *": expected exactly 5 fields, found 4',
    ),
    ("cronjob", spec(schedule="61 * * * *"), 'spec.schedule: Invalid value: "61 * * * *": failed to parse'),
    (
        "cronjob",
        spec(schedule="0 0 * * 7"),
        'spec.schedule: Invalid value: "0 0 * * 7": end of range (7) above maximum',
    ),
    ("cronjob", spec(schedule="@often"), 'spec.schedule: Invalid value: "@often": unrecognized descriptor'),
    ("cronjob", spec(schedule="TZ=UTC 0 3 * * *"), "spec.schedule: Invalid value: "),
    ("cronjob", spec(timeZone="Mars/Base"), 'spec.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base'),
    (
        "cronjob",
        spec(timeZone="Local"),
        'spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone',
    ),
    ("cronjob", spec(timeZone="../etc/passwd"), 'spec.timeZone: Invalid value: "../etc/passwd"'),
    ("cronjob", spec(startingDeadlineSeconds=-1), "spec.startingDeadlineSeconds: Invalid value: -1"),
    (
        "cronjob",
        spec(concurrencyPolicy="Some"),
        'spec.concurrencyPolicy: Unsupported value: "Some": supported values: "Allow"',
    ),
    ("cronjob", spec(successfulJobsHistoryLimit=-1), "spec.successfulJobsHistoryLimit: Invalid value: -1"),
    ("cronjob", spec(failedJobsHistoryLimit=-1), "spec.failedJobsHistoryLimit: Invalid value: -1"),
    ("cronjob", spec(jobTemplate=None), "spec.jobTemplate: Required value"),
    (
        "cronjob",
        spec(jobTemplate={"spec": {"completions": -1}}),
        "spec.jobTemplate.spec.completions: Invalid value: -1",
    ),
    (
        "cronjob",
        spec(jobTemplate={"spec": {"manualSelector": True}}),
        "spec.jobTemplate.spec.manualSelector: Unsupported",
    ),
    (
        "cronjob",
        spec(jobTemplate={"spec": {"template": {"spec": {"restartPolicy": "Always"}}}}),
        "spec.jobTemplate.spec.template.spec.restartPolicy: Required value",
    ),
]


def read(document):
    kind = kinds.by_kind(document["apiVersion"], document["kind"])
    return defaults.apply(json.decode_strict(document, kind.type))


@pytest.mark.parametrize("name", GOOD)
def test_the_good_object_is_good(name):
    assert validation.validate(read(GOOD[name])) == ()


@pytest.mark.parametrize(("name", "change", "expected"), ROWS, ids=[f"{i}-{row[2][:50]}" for i, row in enumerate(ROWS)])
def test_the_wrong_field_is_named(name, change, expected):
    found = [str(problem) for problem in validation.validate(read(merge_patch(GOOD[name], change)))]
    assert any(problem.startswith(expected) for problem in found), found


CHANGES = [
    ("job", spec(completions=3), "spec.completions: Invalid value: 3: field is immutable"),
    ("job", spec(completionMode="Indexed"), 'spec.completionMode: Invalid value: "Indexed": field is immutable'),
    ("job", spec(template={"spec": {"priority": 1}}), 'spec.template: Invalid value: "": field is immutable'),
    ("job", spec(managedBy="acme.io/x"), 'spec.managedBy: Invalid value: "acme.io/x": field is immutable'),
    ("job", codes(), 'spec.podFailurePolicy: Invalid value: "": field is immutable'),
    ("job", spec(parallelism=3, completions=1, activeDeadlineSeconds=9, suspend=True), ""),
    ("indexed", spec(completions=3), "spec.completions: Invalid value: 3: can only be modified in tandem with"),
    ("indexed", spec(completions=3, parallelism=3), ""),
    ("indexed", success(succeededCount=1), 'spec.successPolicy: Invalid value: "": field is immutable'),
    ("indexed", spec(backoffLimitPerIndex=1), "spec.backoffLimitPerIndex: Invalid value: 1: field is immutable"),
]


@pytest.mark.parametrize(("name", "change", "expected"), CHANGES)
def test_what_may_change_of_a_job(name, change, expected):
    found = validation.validate_update(read(GOOD[name]), read(merge_patch(GOOD[name], change)))
    assert [str(problem).startswith(expected) for problem in found] == ([True] if expected else [])


def test_a_job_that_never_ran_may_move_elsewhere():
    waiting = merge_patch(JOB, spec(suspend=True))
    moved = merge_patch(waiting, spec(suspend=False, template={"spec": {"nodeSelector": {"disk": "ssd"}}}))
    assert validation.validate_update(read(waiting), read(moved)) == ()
    other = merge_patch(waiting, spec(template={"spec": {"priority": 1}}))
    assert len(validation.validate_update(read(waiting), read(other))) == 1


def test_a_job_gets_labels_of_its_own():
    job = read(JOB)
    assert job.spec.selector.match_labels == {"batch.kubernetes.io/controller-uid": "u-1"}
    assert job.spec.template.metadata.labels == {
        "batch.kubernetes.io/controller-uid": "u-1",
        "batch.kubernetes.io/job-name": "work",
        "controller-uid": "u-1",
        "job-name": "work",
    }
    assert (job.spec.parallelism, job.spec.completions, job.spec.backoff_limit) == (1, 1, 6)
    assert defaults.apply(job) == job


def test_parallelism_alone_leaves_completions_open():
    assert read(merge_patch(JOB, spec(parallelism=3))).spec.completions is None


def test_failures_per_index_lift_the_common_limit():
    assert read(merge_patch(INDEXED, spec(backoffLimitPerIndex=1))).spec.backoff_limit == 2**31 - 1


def test_warnings_are_about_the_templates_of_templates_too():
    cron = merge_patch(CRON_JOB, spec(jobTemplate={"spec": {"template": {"spec": {"subdomain": "x"}}}}))
    assert [each.partition(":")[0] for each in validation.warnings(read(cron))] == [
        "spec.jobTemplate.spec.template.spec.subdomain"
    ]
