"""`python -m rtseg` is the `rtseg` command."""

from rtseg.cli import entry

if __name__ == "__main__":
    entry()
