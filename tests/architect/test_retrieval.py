"""Without a model: what is there is found by the words of a question and cited, what is not there is said."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from ameide.architect.records import Ledger, file_of
from ameide.architect.speech import begin
from ameide.architect.unaided.retrieval import retrieve
from ameide.architect.unaided.terms import terms_of
from ameide.infra.credentials import Credentials
from ameide.infra.reading.limits import ReadingLimits
from ameide.infra.reading.plumbing import Plumbing
from ameide.infra.reading.reader import MirrorReader
from ameide_core_proto.agent.transformation.v1.architect_service_pb import FileLines, Notice
from ameide_core_proto.transformation.governance.v1.governance_pb import Repository
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetRepositoryRequest
from tests.architect.reading import Desk, desk, registered
from tests.infra.git_servers import git
from tests.views.readers import Readers
from tests.views.story import Story, told

CODE = """\
\"\"\"Orders of the shop.\"\"\"


class Orders:
    def cancel_order(self, order_id):
        order = self.find(order_id)
        order.canceled = True
        return order

    def ship(self, order_id):
        return self.find(order_id)
"""
KEY = re.compile(r"\[\[([^\]]+)\]\]")


@pytest.fixture(scope="module")
async def story(readers: Readers, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A change, and a repository of which there is none yet."""
    origin = tmp_path_factory.mktemp("origin") / "shop"
    (origin / "src").mkdir(parents=True)
    git(origin, "init", "-q", "-b", "main")
    (origin / "src" / "orders.py").write_text(CODE)
    (origin / "README.md").write_text("# Shop\n\nOrders can be canceled with cancel_order.\n")
    git(origin, "add", "--all")
    git(origin, "commit", "-q", "-m", "Start")
    await registered(readers.world, "shop", origin.as_uri())
    return await told(readers)


@pytest.fixture(scope="module")
async def asker(story: Story, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Desk]:
    """Somebody who talks about that repository."""
    mirrors: Path = tmp_path_factory.mktemp("mirrors")
    reading = MirrorReader(mirrors, Credentials(), {}, Plumbing(limits=ReadingLimits()))
    yield desk(await story.readers.reader()).about(repositories=reading, repository_id="shop")
    shutil.rmtree(mirrors)


async def keys(asker: Desk, question: str) -> tuple[str, list[str], tuple[str, ...]]:
    """The answer, the keys that it cites, and what was not found. Everything that it cites was read."""
    found = await retrieve(asker.ctx, question)
    ledger = Ledger()
    for _, answer in found.calls:
        ledger.note(answer.records)
    cited = KEY.findall(found.text)
    for key in cited:
        kind, _, ref = key.partition(":")
        if kind == "file_lines":
            lines = file_of(ref)
            assert lines is not None
            spans = ledger.files[f"{lines.repository_id}@{lines.commit_sha}:{lines.path}"]
            assert any(first <= lines.first_line and lines.last_line <= last for first, last in spans)
        else:
            assert key in ledger.known
    return found.text, cited, found.not_found


async def test_code_is_found_by_its_names_and_quoted_as_it_is(asker: Desk) -> None:
    text, cited, missing = await keys(asker, "Where is cancel_order defined?")
    assert cited[0].startswith("file_lines:shop@")
    assert "src/orders.py" in cited[0]
    quoted = [line.removeprefix("> ") for line in text.split("\n") if line.startswith("> ")]
    assert set(quoted) <= {*CODE.split("\n"), *["# Shop", "", "Orders can be canceled with cancel_order.", ""]}
    assert "    def cancel_order(self, order_id):" in quoted
    assert missing == ()


async def test_what_is_told_passes_the_check_of_what_a_model_says(asker: Desk) -> None:
    found = await retrieve(asker.ctx, "Where is cancel_order, and which gates are waiting?")
    ledger = Ledger()
    for _, answer in found.calls:
        ledger.note(answer.records)
    repository = Repository(repository_id="shop")

    async def lines(repository_id: str, commit: str, path: str, first: int, last: int) -> FileLines:
        known = await asker.ctx.clients.queries.get_repository(GetRepositoryRequest(repository_id=repository_id))
        return await asker.ctx.repositories.read(known.repository or repository, commit, path, first, last)

    speech = begin(ledger, {}, lines)
    said = [*await speech.hear(found.text), *await speech.end()]
    removed = [one for one in said if isinstance(one, Notice)]
    assert removed == []
    text = "".join(one for one in said if isinstance(one, str))
    assert "    def cancel_order(self, order_id):" in text
    assert "[1]" in text
    assert "[[" not in text


async def test_what_waits_for_a_decision_is_found_by_what_it_is(asker: Desk, story: Story) -> None:
    text, cited, missing = await keys(asker, "Which gates are waiting?")
    assert story.acceptance.gate_id in text
    assert all(key.startswith("domain_fact:") for key in cited)
    assert missing == ()


async def test_what_is_named_by_its_id_comes_first(asker: Desk, story: Story) -> None:
    work = story.verified[0].work_request_id
    text, cited, missing = await keys(asker, f"Why did {work} fail?")
    assert cited[0] == f"work_request:{work}"
    assert text.startswith(f"tool_run verify {work}")
    assert work not in missing
    text, cited, missing = await keys(asker, "What came of wrk-00000000?")
    assert missing[0] == "wrk-00000000"
    assert "Not found: wrk-00000000" in text


async def test_a_change_is_told_where_the_conversation_is_about_it(asker: Desk, story: Story) -> None:
    about = asker.about(change_id=story.change_id)
    text, cited, _ = await keys(about, "Did the verification of the second iteration fail?")
    assert any(key.startswith("work_request:") for key in cited)
    assert "verify" in text


async def test_words_are_explained_by_the_glossary(asker: Desk) -> None:
    text, _, missing = await keys(asker, "What does acceptance mean?")
    assert text.startswith("**acceptance** (glossary): The gate at which a person")
    assert missing == ()
    text, _, missing = await keys(asker, "What is a subject hash?")
    assert text.startswith("**subject hash** (glossary): The SHA-256 of what a gate binds.")
    assert missing == ()


async def test_nothing_is_made_up(asker: Desk) -> None:
    text, cited, missing = await keys(asker, "flux capacitor?")
    assert cited == []
    assert text.startswith("Nothing in the records or in the repository's files")
    assert missing == ("'flux'", "'capacitor'")
    text, cited, missing = await keys(asker, "Read src/nowhere.py")
    assert missing[0] == "src/nowhere.py"


async def test_the_same_question_gets_the_same_answer(asker: Desk) -> None:
    question = "How are orders canceled, and which gates approved that?"
    assert (await keys(asker, question))[:2] == (await keys(asker, question))[:2]


async def test_what_could_not_be_looked_at_is_said(asker: Desk) -> None:
    gone = asker.about(repository_id="orders")
    text, _, _ = await keys(gone, "Where are cancel_order and ship_order?")
    assert text.count("Could not look (search_files text=cancel_order): ") == 1
    assert "has no variable 'GIT'" in text


def test_the_terms_of_a_question() -> None:
    terms = terms_of('What did "dead letter" cost in r2r/acme/chg-1/2, see src/a.py, gat-0192 and READMEs of the API?')
    assert terms.ids == ("gat-0192",)
    assert terms.runs == ("r2r/acme/chg-1/2",)
    assert terms.paths == ("src/a.py",)
    assert terms.phrases == ("dead letter",)
    assert terms.topics == ("get_budget",)
    assert "what" not in terms.words
    assert terms_of("x" * 1_000_000 + " " * 1_000_000).words
    assert terms_of("").wanted == ()
