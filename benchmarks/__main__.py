"""`python -m benchmarks [NAME…]` runs, `python -m benchmarks report` tells what the last runs found."""

import sys

from benchmarks.command import ALL, main
from benchmarks.report import stored, table

if sys.argv[1:] == ["report"]:
    print(table(stored(ALL)))
else:
    main()
