"""``python -m upwell.interfaces.cli`` is ``upwell``."""

from upwell.interfaces.cli.main import main

if __name__ == "__main__":
    main()
