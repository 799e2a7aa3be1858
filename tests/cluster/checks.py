"""What must hold of the chart on a cluster, in the order of one story. Each check says in a line what it saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from tests.chart.rendering import Rendered
from tests.cluster.api import ApiError
from tests.cluster.control_plane import holds
from tests.cluster.installation import UI_SUITE
from tests.cluster.jobs import Job
from tests.cluster.scene import NAME, NAMESPACE, Scene
from tests.cluster.table import Row

VERIFY, CODER, UI = f"{NAME}-verify", f"{NAME}-coder", f"{NAME}-verify-ui-harness"
FIRST, MORE, AFTER, WITHOUT, WITH, BY_KAFKA = 3, 3, 1, 2, 3, 3
_RESTRICTED = "restricted"
_PATIENCE = 300.0
_LOOKS = 3


@dataclass
class Story:
    """What earlier checks leave to later ones."""

    scene: Scene
    verifications: list[str] = field(default_factory=list[str])
    rows: list[Row] = field(default_factory=list[Row])

    def created(self, scaled_job: str) -> list[Job]:
        """All Jobs of a ScaledJob until now."""
        return self.scene.jobs.of(scaled_job)

    def wait(self, what: str, there: Callable[[], bool]) -> None:
        """Wait for a condition; fails at once when a Job has failed."""

        def met() -> bool:
            failed = [job.name for job in self.scene.jobs.all() if job.failed]
            assert not failed, f"these Jobs failed while we waited for {what}: {', '.join(failed)}"
            return there()

        self.scene.wait(what, met, _PATIENCE)

    def settled(self, *scaled_jobs: str) -> None:
        """Wait until KEDA has looked at these queues some times more, so that what it would do is done."""
        for scaled_job in scaled_jobs:
            wanted = self.scene.looks(scaled_job) + _LOOKS
            self.wait(f"KEDA to look at {scaled_job}", lambda name=scaled_job, n=wanted: self.scene.looks(name) >= n)

    def ended(self, scaled_job: str, works: list[str], before: int) -> Row:
        """Wait until the works and all Jobs made since are over; the row of the table without its name."""
        installation = self.scene.installation
        self.wait(f"{len(works)} outcomes", lambda: installation.outcomes(works).total() == len(works))
        self.wait("the Jobs to end", lambda: all(job.ended for job in self.created(scaled_job)))
        self.settled(scaled_job)
        jobs = self.created(scaled_job)[before:]
        succeeded = sum(job.succeeded for job in jobs)
        return Row("", installation.intents(works), len(jobs), succeeded, installation.outcomes(works))


Check = Callable[[Story], str]


def chart_is_applied(story: Story) -> str:
    """The API server takes every object of the chart, with no field unknown and none in conflict."""
    made = story.scene.apply(story.scene.render())
    again = story.scene.apply(story.scene.render())
    changed = [
        f"{one['kind']} {one['metadata']['name']}"
        for one, before in zip(again, made, strict=True)
        if one.get("spec") != before.get("spec")
    ]
    assert not changed, f"applying the same again changed {changed}"
    kinds = Counter(one["kind"] for one in made)
    assert kinds["ScaledJob"] == 3, kinds
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def pods_are_restricted(story: Story) -> str:
    """The Pod Security Standard `restricted` admits every pod, but for what bubblewrap needs of an executor's."""
    plain = _admitted(story, story.scene.render_plain())
    bare = _admitted(story, story.scene.render_plain(executor={"sandbox": {"kind": "none"}}))
    assert set(bare.values()) == {""}, bare
    refused = {owner: why for owner, why in plain.items() if why}
    for owner, why in refused.items():
        assert why.endswith('procMount (container "executor" must not set securityContext.procMount to "Unmasked")'), (
            why
        )
        assert why.count("container") == 1, f"{owner} is refused for more than that: {why}"
    admitted = [owner for owner in plain if owner not in refused]
    return f"{', '.join(admitted)} as they come; {', '.join(refused)} but for procMount, and without bubblewrap whole"


def _admitted(story: Story, rendered: Rendered) -> dict[str, str]:
    """Why a namespace that enforces `restricted` does not take a pod of each owner; empty where it does."""
    api = story.scene.api
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _RESTRICTED, "labels": labels}})
    for account in rendered.all("ServiceAccount"):
        api.apply({**account, "metadata": {"name": account["metadata"]["name"], "namespace": _RESTRICTED}})
    found: dict[str, str] = {}
    for owner, template in rendered.pods():
        metadata = {**template["metadata"], "name": owner, "namespace": _RESTRICTED}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        try:
            api.create(f"/api/v1/namespaces/{_RESTRICTED}/pods?dryRun=All&fieldValidation=Strict", pod)
            found[owner] = ""
        except ApiError as error:
            if error.status != 403:
                raise
            found[owner] = str(error)
    return found


def empty_queue_makes_no_job(story: Story) -> str:
    """KEDA can ask for the length of every queue; nothing waits, so nothing is started."""
    path = f"/apis/keda.sh/v1alpha1/namespaces/{NAMESPACE}/scaledjobs"
    story.wait(
        "KEDA to accept the ScaledJobs", lambda: all(holds(o, "Ready") for o in story.scene.api.get(path)["items"])
    )
    story.settled(VERIFY, CODER, UI)
    assert story.scene.jobs.all() == []
    return f"KEDA accepts the ScaledJobs and looked {story.scene.looks(VERIFY)} times, no Job"


def one_job_for_each_intent(story: Story) -> str:
    """As many Jobs as there are unclaimed intents, and the ScaledJob owns them."""
    scene = story.scene
    scene.hold.set()
    story.verifications += scene.installation.request_verification(scene.commit, FIRST)
    story.wait(f"{FIRST} works to be held", lambda: len(scene.hold.waiting()) == FIRST)
    story.settled(VERIFY)
    jobs = scene.jobs.all()
    assert len(jobs) == FIRST, jobs
    assert all(job.scaled_job == VERIFY for job in jobs), jobs
    return f"{FIRST} intents, {len(jobs)} Jobs, owned by the ScaledJob {VERIFY}"


def also_while_others_run(story: Story) -> str:
    """Those that run count for nothing: again as many Jobs as there are unclaimed intents."""
    scene = story.scene
    before = story.created(VERIFY)
    story.verifications += scene.installation.request_verification(scene.commit, MORE)
    story.wait(f"{FIRST + MORE} works to be held", lambda: len(scene.hold.waiting()) == FIRST + MORE)
    story.settled(VERIFY)
    jobs = story.created(VERIFY)
    assert len(jobs) == FIRST + MORE, jobs
    assert not any(job.ended for job in jobs), jobs
    assert scene.installation.waiting() == 0
    return f"{MORE} intents more while {len(before)} Jobs run, {len(jobs)} Jobs, all run at once"


def edit_kills_no_running_job(story: Story) -> str:
    """The ScaledJob changes, and KEDA has seen it; what runs goes on."""
    scene = story.scene
    before, held = story.created(VERIFY), _pids(scene.hold.waiting())
    path = f"/apis/keda.sh/v1alpha1/namespaces/{NAMESPACE}/scaledjobs/{VERIFY}"
    old = scene.api.get(path)["metadata"]["generation"]
    reconciled = _reconciled(scene)
    scene.apply(scene.render(settings={"AMEIDE_LOG_LEVEL": "DEBUG"}))
    new = scene.api.get(path)["metadata"]["generation"]
    assert new > old, "the edit changed nothing"
    story.wait("KEDA to see the edit", lambda: _reconciled(scene) > reconciled)
    story.settled(VERIFY)
    assert story.created(VERIFY) == before, story.created(VERIFY)
    assert _pids(scene.hold.waiting()) == held, "a work was started anew"
    return f"generation {old} became {new}, the same {len(before)} Jobs run, no process was replaced"


def jobs_work_the_intents_off(story: Story) -> str:
    """The works go on and end; the Jobs have succeeded, and those made from now on are of the edited ScaledJob."""
    scene = story.scene
    scene.release()
    story.wait("the Jobs to end", lambda: all(job.ended for job in story.created(VERIFY)))
    last = max(job.generation for job in story.created(VERIFY))
    story.verifications += scene.installation.request_verification(scene.commit, AFTER)
    row = story.ended(VERIFY, story.verifications, 0)
    newest = max(job.generation for job in story.created(VERIFY))
    assert newest > last, "the Job after the edit is of the ScaledJob before it"
    return story_row(story, row, "tool runs", "succeeded")


def agent_work_without_credentials(story: Story) -> str:
    """No Secret codex-auth: the work is claimed and ends with what to do about it; the Job has done its part."""
    return _agent_work(story, WITHOUT, "agent work without codex-auth", "MISSING_CREDENTIALS")


def agent_work_with_credentials(story: Story) -> str:
    """With the Secret the real Codex works, in the very next Job, with nothing of the chart changed."""
    auth = (story.scene.folder / "codex" / "auth.json").read_text(encoding="utf-8")
    story.scene.secret("codex-auth", {"auth.json": auth})
    said = _agent_work(story, WITH, "agent work with codex-auth", "succeeded")
    asked = len(story.scene.endpoint.calls)
    assert asked >= 2 * WITH, asked
    assert story.scene.endpoint.refused == 0
    return f"{said}; the model was asked {asked} times"


def queue_of_kafka(story: Story) -> str:
    """Another transport: KEDA reads the group's lag at the real brokers, and Jobs take invitations from there."""
    scene = story.scene
    works = scene.installation.request_verification(scene.commit, BY_KAFKA, UI_SUITE)
    return story_row(story, story.ended(UI, works, 0), "tool runs by Kafka", "succeeded")


def ended_job_gives_its_claim_back(story: Story) -> str:
    """A Job is deleted while it works: its claim is released, announced again, and another Job does the work."""
    scene = story.scene
    scene.hold.set()
    before = story.created(VERIFY)
    [work] = scene.installation.request_verification(scene.commit, 1)
    story.wait("the work to be held", lambda: len(scene.hold.waiting()) == 1)
    [job] = [job for job in story.created(VERIFY) if job not in before]
    [held] = scene.hold.waiting()
    path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/{job.name}"
    scene.api.delete(path, propagationPolicy="Foreground")
    story.wait("its program to end", lambda: not held.is_running())
    story.wait("another Job to take the work", lambda: _pids(scene.hold.waiting()) - {held.pid} != set())
    scene.release()
    story.wait("the outcome", lambda: scene.installation.outcomes([work]).total() == 1)
    intents, outcomes = scene.installation.intents([work]), scene.installation.outcomes([work])
    assert (intents, outcomes) == (2, Counter(["succeeded"])), (intents, outcomes)
    [attempts] = scene.installation.sql(
        "SELECT array_agg(ended_by ORDER BY attempt) FROM ameide.attempt WHERE work_request_id = %s", work
    )
    return f"2 intents, 2 Jobs, 1 outcome; the attempts ended by {' and '.join(attempts[0])}"


def empty_queue_leaves_none(story: Story) -> str:
    """All is done: no Job runs, KEDA makes none, and nobody's program is left."""
    story.wait("the Jobs to end", lambda: all(job.ended for job in story.scene.jobs.all()))
    before = {job.uid for job in story.scene.jobs.all()}
    story.settled(VERIFY, CODER, UI)
    assert {job.uid for job in story.scene.jobs.all()} == before
    assert story.scene.installation.waiting() == 0
    pods = story.scene.api.get(f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
    running = [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] not in ("Succeeded", "Failed")]
    assert not running, running
    return f"{len(before)} Jobs were made, none runs"


def columns_agree(story: Story) -> str:
    """Each intent had one Job, each Job succeeded, each work has one outcome."""
    wrong = [row.work for row in story.rows if not row.agrees]
    assert len(story.rows) == 4, story.rows
    assert not wrong, f"the numbers differ: {wrong}"
    return f"{sum(row.intents for row in story.rows)} in each column"


CHECKS: tuple[Check, ...] = (
    chart_is_applied,
    pods_are_restricted,
    empty_queue_makes_no_job,
    one_job_for_each_intent,
    also_while_others_run,
    edit_kills_no_running_job,
    jobs_work_the_intents_off,
    agent_work_without_credentials,
    agent_work_with_credentials,
    queue_of_kafka,
    ended_job_gives_its_claim_back,
    empty_queue_leaves_none,
    columns_agree,
)


def story_row(story: Story, row: Row, work: str, ending: str) -> str:
    """Keep a row of the table; all its works must have ended so."""
    story.rows.append(Row(work, row.intents, row.created, row.succeeded, row.outcomes))
    assert set(row.outcomes) == {ending}, row.outcomes
    return f"{row.created} Jobs, {row.succeeded} succeeded, {row.outcomes[ending]} works {ending}"


def _agent_work(story: Story, count: int, work: str, ending: str) -> str:
    before = len(story.created(CODER))
    works = story.scene.installation.request_change(story.scene.commit, count)
    return story_row(story, story.ended(CODER, works, before), work, ending)


def _pids(processes: list[psutil.Process]) -> set[int]:
    return {process.pid for process in processes}


def _reconciled(scene: Scene) -> int:
    """How often KEDA has taken in a new version of the ScaledJob."""
    return sum(
        line.get("msg") == "Initializing Scaling logic according to ScaledJob Specification"
        and line.get("ScaledJob", {}).get("name") == VERIFY
        for line in scene.keda_says()
    )
