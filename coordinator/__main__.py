"""``python -m coordinator`` in a checkout; where it is installed, ``python -m distbelief``."""

from distbelief.__main__ import main

if __name__ == "__main__":
    main()
