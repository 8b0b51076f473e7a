"""`python -m sanitree.checker` is the `sanitree` command."""

from sanitree.checker.cli import main

if __name__ == "__main__":
    main()
