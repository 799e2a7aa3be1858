"""What credentials look like in text: the forms that issuers give them, a value beside a telling name, random strings.

A form is nearly certain. A random string is a guess, made so that what builds print by the thousand stays: digests in
hexadecimal, UUIDs and our own ids, the hashes of lock files, paths, names, text in base64. Every repetition in a
pattern is bounded or possessive and every test reads its text once: the text is hostile, and the time to read it must
grow with its length alone.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

MASK = "[redacted]"

_FORMS = (
    (
        "a private key",
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?s:.*?)"
        r"(?:-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    ),
    ("a password in a URL", r"(?<=://)[^\s/@:'\"]{0,256}+:[^\s/@'\"]{1,1024}+(?=@)"),
    ("an AWS access key", r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9])"),
    ("a GitHub token", r"\bgh[opsur]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}"),
    ("a GitLab token", r"\bgl(?:pat|ptt|dt|rt|cbt|soat|agent)-[A-Za-z0-9_-]{16,}"),
    (
        "an API key",
        r"\bsk-(?=[A-Za-z_-]{0,64}+[0-9])[A-Za-z0-9_-]{16,}|\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"
        r"|\bAIza[A-Za-z0-9_-]{35}|\bhf_[A-Za-z0-9]{30,}|\bwhsec_[A-Za-z0-9+/=]{20,}",
    ),
    ("a Slack token", r"\bx(?:ox[abeprs]|app)-[A-Za-z0-9-]{10,}"),
    ("a JSON web token", r"(?<![\w-])eyJ[\w-]{8,2048}+\.[\w-]{8,4096}+\.[\w-]{8,}"),
    ("a package registry's token", r"\bpypi-[A-Za-z0-9_-]{32,}|\bnpm_[A-Za-z0-9]{30,}|\bdckr_pat_[A-Za-z0-9_-]{20,}"),
    ("an ameide token", r"\bameide_[a-z0-9-]{1,63}_[A-Za-z0-9-]{1,63}_[A-Za-z0-9_-]{8,}"),
)
_CERTAIN = tuple((kind, re.compile(pattern)) for kind, pattern in _FORMS)
_LIKELY = (
    re.compile(r"(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{8,}|(?<=BEARER )[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"(?<=[Bb]asic )[A-Za-z0-9+/=]{12,}"),
)
_NAMES = r"secret|token|passw(?:or)?d|api[_-]?key|access[_-]?key|private[_-]?key|credential"
_ASSIGNMENT = re.compile(
    rf"""(?i)((?:{_NAMES})[\w.-]{{0,64}}["']?\s{{0,8}}(?::=|[:=](?![:=]))\s{{0,8}}["']?)([^\s"',;()]{{8,}})"""
)
# A name of code stands for a value, it is none: `settings.api_token`, `DEFAULT_PASSWORD`, `accessToken`.
_NAME_OF_CODE = re.compile(r"(?=.*(?:[._]|[a-z][A-Z]))[A-Za-z_$][A-Za-z_.$\[\]{}<>]*\Z")
_ENTROPY = 3.2
# The id of our own findings about secrets, `secret:<path>:<line>`.
_PLACE = re.compile(r"[\w./\[\]-]+:\d+\Z")
# Who writes these in place of a password shows how a URL is built.
_PLACEHOLDER = re.compile(r":(?:[<{\[$%*].*|\*+|x+|\.+|pass(?:word|wd)?|pwd|secret|token|redacted)\Z", re.IGNORECASE)

_RUN = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{20,}+={0,2}")
_DIGEST = re.compile(r"(?:sha(?:1|224|256|384|512)[-:=/]|SHA256:|\bh1:)\Z")
_DIGEST_RUN = re.compile(r"sha(?:1|224|256|384|512)[-/][A-Za-z0-9+/]{8,86}={0,2}\Z")
_PUBLIC_KEY = re.compile(r"AAAA[A-Z][23]|AAAAE2V")
_DIGESTS = frozenset({27, 28, 43, 44, 64, 86, 88})
_PARTS = re.compile(r"[+/_=-]+")
_HEXADECIMAL = re.compile(r"[x\\]?(?:[0-9a-f]+|[0-9A-F]+)\Z")
_WORDS = re.compile(r"[A-Z]?[a-z]{4,}|[A-Z]{4,}(?![a-z])|[0-9]{4,}")
_VOWEL, _CONSONANTS = re.compile(r"[aeiouyAEIOUY]"), re.compile(r"[b-df-hj-np-tv-xzB-DF-HJ-NP-TV-XZ]{5}")
_TURNS = re.compile(r"(?<=[a-z])[A-Z0-9]|(?<=[A-Z])[0-9]|(?<=[0-9])[A-Za-z]|(?<=[A-Z])[a-z]")
_NUMBERS = re.compile(r"[0-9]+")
_LOWER, _UPPER = re.compile(r"[a-z]"), re.compile(r"[A-Z]")
_PRINTABLE = bytes({*range(32, 127), 9, 10, 13})


@dataclass(frozen=True, slots=True)
class Found:
    """A place in a text and what lies there, in words that fit after "it holds"."""

    kind: str
    start: int
    end: int


def certain(text: str) -> Iterator[Found]:
    """Credentials whose form tells them; a placeholder where a URL has its password is none."""
    for kind, pattern in _CERTAIN:
        for match in pattern.finditer(text):
            if not _PLACEHOLDER.search(match[0][-64:]):
                yield Found(kind, *match.span())


def random_strings(text: str) -> Iterator[Found]:
    """Strings that only a generator of keys writes, as far as one can tell."""
    for match in _RUN.finditer(text):
        run, start = match[0], match.start()
        if not _spared(text, run, start) and _random(run):
            yield Found("a random string like a key", start, match.end())


def masked(text: str) -> str:
    """The text with what looks like a credential replaced by ``[redacted]``; masking again changes nothing."""
    return mask_random(mask_forms(text))


def mask_forms(text: str) -> str:
    """The text without credentials that are told by their form or their name."""
    for _, pattern in _CERTAIN:
        text = pattern.sub(MASK, text)
    for pattern in _LIKELY:
        text = pattern.sub(MASK, text)
    return _ASSIGNMENT.sub(_assigned, text)


def mask_random(text: str) -> str:
    """The text without random strings."""
    return "".join(_between(text))


def _between(text: str) -> Iterator[str]:
    done = 0
    for found in random_strings(text):
        yield text[done : found.start]
        yield MASK
        done = found.end
    yield text[done:]


def _assigned(match: re.Match[str]) -> str:
    name, value = match.groups()
    spared = _NAME_OF_CODE.match(value) or (name == "secret:" and _PLACE.match(value))
    return match.group(0) if spared or entropy(value) < _ENTROPY else f"{name}{MASK}"


def _spared(text: str, run: str, start: int) -> bool:
    if _DIGEST_RUN.match(run) or _PUBLIC_KEY.match(run):
        return True
    return len(run) in _DIGESTS and _DIGEST.search(text[max(0, start - 8) : start]) is not None


def _random(run: str) -> bool:
    """Whether hardly anything in it can be read: no words, no hexadecimal, no text in base64."""
    parts = [part for part in _PARTS.split(run) if part]
    if len(parts) > 1 + len(run) / 8:
        return False
    wild = [part for part in parts if not _HEXADECIMAL.match(part)]
    text = " ".join(wild)
    count = len(text) - len(wild) + 1
    if count < 16:
        return False
    words = sum(len(word) for word in _WORDS.findall(text) if _readable(word))
    turns = len(_TURNS.findall(text))
    numbers = len(_NUMBERS.findall(text))
    if _LOWER.search(text) and _UPPER.search(text):
        # Names in camel case turn often as well, but seldom without a word and between figures.
        most, least = (0.4, 0.4) if numbers >= 2 else (0.15, 0.55)
        random = words <= most * count and turns >= least * count
    else:
        # One case alone, as in base 32 and 36: figures between letters tell, and words have vowels.
        random = count >= 24 and words <= 0.4 * count and turns >= 0.15 * count and numbers >= 3
    if not random or entropy(text) < _ENTROPY + 0.3:
        return False
    inside = _text_in_base64(run)
    # Whoever packs up a text may have packed a credential in it.
    return not inside or next(certain(inside), None) is not None or next(random_strings(inside), None) is not None


def _readable(word: str) -> bool:
    return word.isdigit() or (_VOWEL.search(word) is not None and _CONSONANTS.search(word) is None)


def _text_in_base64(run: str) -> str:
    """The text that the run is when it is text in base64, else empty."""
    body = run.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        data = base64.b64decode(body[: len(body) // 4 * 4])
    except binascii.Error:
        return ""
    return data.decode("latin-1") if len(data.translate(None, _PRINTABLE)) <= 0.3 * len(data) else ""


def entropy(value: str) -> float:
    """Bits a character. Words and code lie below 3.2, keys of some length above."""
    return -sum(count / len(value) * math.log2(count / len(value)) for count in Counter(value).values())
