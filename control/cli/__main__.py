"""`python -m control.cli`, for where the console script is not installed."""

from control.cli.main import main

main()
