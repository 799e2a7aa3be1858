"""`python -m ameide` is `ameide`."""

from ameide.cli import main

if __name__ == "__main__":
    main()
