"""The oracle: what must be true of an installation at rest, whatever was killed, cut, repeated or delayed before.

It stands outside of the program. It reads PostgreSQL as its superuser, the histories of the Temporal server, and two
files that clients and executors of the run wrote. acknowledged ⊆ Domain ⊆ facts in the log ⊆ heard by open runs, and
what was heard, had as an effect or projected was so exactly once.
"""

from tests.faults.oracle.examining import examine
from tests.faults.oracle.verdict import Verdict

__all__ = ["Verdict", "examine"]
