"""The command line: one module per group of commands, without logic of its own.

main      the application and its exit codes
console   output, progress bars, user errors
usage     messages for command lines that do not parse
ranks     commands that torchrun starts in several processes
programs  the program of a command: a text, a file, or the best of a run
run       run, resume
search    mutate, baseline, search
policy    pretrain, evaluate-policy
solve     solve, submit
serve     serve
show      explain, report, verify
export    export
tasks     tasks list, tasks show, tasks compare, tasks fetch, experts
"""

import time

IMPORT_STARTED = time.monotonic()
"""When the import of the command line began, for commands with a time budget."""
