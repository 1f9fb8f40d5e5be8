"""`python -m codeit` is `codeit`."""

from codeit.cli.main import main

if __name__ == "__main__":  # worker processes import this module too
    main()
