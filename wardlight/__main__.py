"""`python -m wardlight` is the same as `wardlight`."""

from wardlight.main import main

if __name__ == "__main__":
    main()
