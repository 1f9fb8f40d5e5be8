"""Programs as files for others: plain Python that runs without codeit.

from codeit.export import to_python

Path("solution.py").write_text(to_python(program, title="A program for my puzzle"))
"""

from codeit.export.python_file import to_python

__all__ = ["to_python"]
