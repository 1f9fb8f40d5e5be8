"""The command line: one module per group of commands, without logic of its own.

main      the application and its exit codes
console   output, progress bars, user errors
usage     messages for command lines that do not parse
ranks     commands that torchrun starts in several processes
run       run, resume
search    mutate, baseline, search
policy    pretrain, evaluate-policy
solve     solve, submit
show      explain, report, verify
tasks     tasks list, tasks show, tasks compare, tasks fetch, experts
"""

import time

IMPORT_STARTED = time.monotonic()
"""When the import of the command line began, for commands with a time budget."""
