"""A change that is asked for from an issue: whoever approves it sees where it comes from."""

from tests.acceptance.installation import Installation
from tests.cli.forge_double import forge_double


def test_a_change_from_an_issue_cites_it(installation: Installation, orders: str) -> None:
    with forge_double() as forge:
        url = forge.has_issue("gitea")
        change = installation.id_of("change", "start", orders, "--from", url, "--yes", who="requester")
    gate = installation.gate(change, "REQUIREMENT_STABILIZED")
    shown = installation.json("gate", "show", gate["gateId"])
    content = shown["artifact"]["current"]["content"]
    assert (content["title"], content["source"]) == ("Cancel an order", url)
    assert content["acceptanceCriteria"][1:] == ["A shipped one cannot", "It is logged"]
    links = [one["ref"] for one in shown["citations"] if one["kind"] == "CITATION_KIND_EXTERNAL_LINK"]
    assert links == [url]
    assert f"from {url}" in installation.ameide("gate", "show", gate["gateId"])
    installation.ameide("change", "cancel", change, "--reason", "seen enough", who="requester")
