"""Which language a file is in, by its name."""

from __future__ import annotations

from posixpath import basename, splitext

_BY_ENDING = {
    "Python": ".py .pyi",
    "JavaScript": ".js .jsx .mjs .cjs",
    "TypeScript": ".ts .tsx .mts .cts",
    "Go": ".go",
    "Java": ".java",
    "Kotlin": ".kt .kts",
    "Scala": ".scala",
    "Rust": ".rs",
    "C": ".c .h",
    "C++": ".cc .cpp .cxx .hpp .hh",
    "C#": ".cs",
    "Ruby": ".rb",
    "PHP": ".php",
    "Swift": ".swift",
    "Shell": ".sh .bash .zsh",
    "PowerShell": ".ps1",
    "SQL": ".sql",
    "Protocol Buffers": ".proto",
    "GraphQL": ".graphql .gql",
    "HTML": ".html .htm",
    "CSS": ".css .scss .sass .less",
    "Vue": ".vue",
    "Svelte": ".svelte",
    "Terraform": ".tf .tfvars",
    "YAML": ".yaml .yml",
    "JSON": ".json",
    "TOML": ".toml",
    "XML": ".xml .xsd",
    "Markdown": ".md .mdx",
    "reStructuredText": ".rst",
}
_BY_NAME = {"Dockerfile": "Dockerfile", "Containerfile": "Dockerfile", "Makefile": "Make", "Jenkinsfile": "Groovy"}
_LANGUAGES = {ending: language for language, endings in _BY_ENDING.items() for ending in endings.split()}


def language_of(path: str) -> str:
    """The language of a file; empty for one that nobody programs in."""
    name = basename(path)
    return _BY_NAME.get(name) or _LANGUAGES.get(splitext(name)[1].lower(), "")
