# Tries: to rewrite the instructor's terminal: clears the screen, sets the title, recolours, moves up and writes
# PASSED over what stands there, answers a query, rings, breaks UTF-8, turns the text's direction round.
import sys

out = sys.stdout.buffer
out.write(b"\x1b[2J\x1b[H\x1b]0;graded: 100\x07\x1b[31mred\x1b[5A\rPASSED 100/100\x1b[0m\x07\x1b[6n\x1b]52;c;cm0gLXJm\x07")
out.write(b"\x9b31m\xff\xfe\xc3(\x00\x08\x08\x08\r\n" + "\u202e001 / 001 DESSAP\u202c\n".encode())
out.write(b"<script>alert(1)</script><img src=x onerror=alert(1)>=cmd|'/c calc'!A1,@SUM(1)\n")
out.flush()
sys.stderr.write("\x1b]8;;http://example.org/\x1b\\click\x1b]8;;\x1b\\ [bold red]FAILED[/] \x1b[?1049h\x1b[?25l")
sys.exit(1)
