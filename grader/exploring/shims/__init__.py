"""What travels into a sandbox and steers a program there; each file stands alone, with the standard library."""
