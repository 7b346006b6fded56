"""The commands, one module per section of the help; they register themselves."""
