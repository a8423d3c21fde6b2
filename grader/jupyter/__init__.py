"""The notebook's face: cell magics that save files and run checks as the command line does."""
