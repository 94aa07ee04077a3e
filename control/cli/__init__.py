"""The headgate command, one subcommand a module."""
