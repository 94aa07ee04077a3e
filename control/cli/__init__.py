"""The `headgate` command: `main` finds a command, each file in `commands` is one of them."""
