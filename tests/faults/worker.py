"""Modules that worker processes import in advance: see `commands.start_worker_server`."""

import codeit.experiments.submission
import codeit.solver

assert codeit.experiments.submission
codeit.solver.MIN_PROGRAMS_FOR_VOTES = 500  # a solved task is settled sooner
