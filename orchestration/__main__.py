"""`python -m orchestration` is the command `evergreen`, for processes that Evergreen starts itself."""

from orchestration.cli import main

main()
