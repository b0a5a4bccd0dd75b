"""`python -m kerastl.cli`: the command line of this very interpreter, as `kerastl launch` starts its workers."""

from kerastl.cli import main

if __name__ == "__main__":
    main()
