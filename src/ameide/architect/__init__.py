"""The Architect agent: asks and answers, triages, proposes, escalates. It reads by queries and writes by commands."""

from ameide.config import forget

# What is said to the agent goes to the model that its operator chose, and nowhere else. The libraries below would send
# it to LangSmith, or through its gateway, when a variable of a developer's shell says so.
forget("LANGSMITH_", "LANGCHAIN_", "LC_OUTPUT_VERSION")
