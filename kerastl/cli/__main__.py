"""`python -m kerastl.cli`: the same as `python -m kerastl`, under the name it had before."""

from kerastl.cli import main

if __name__ == "__main__":
    main()
