"""The policy: a language model that reads a task's demonstrations and writes programs."""
