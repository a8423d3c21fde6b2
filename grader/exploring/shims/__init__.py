"""What travels into sandboxes: each file knows only the standard library, or the C library, and its neighbours here."""
