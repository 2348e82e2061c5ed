"""The command line: thin, one file per command, imports what a command needs when it runs."""
