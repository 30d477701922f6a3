"""What stands on a terminal: harmless text, columns, colours, times, progress; knows no command."""
