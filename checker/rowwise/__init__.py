"""The row-wise backend: many checks as one generated Python function over columns as lists.

For states of some ten nodes, where starting a vector operation costs more than the work:
a cache that is followed call by call, a search. It says which check is violated, if any;
the evidence comes from columns. What a program may leave out because a column is always
known, or not there at all, is written down as a guard: where a state differs, another
program is made.
"""

from sanitree.checker.rowwise.program import Programs, Seen
from sanitree.checker.rowwise.work import computing, judging, tallying

__all__ = ["Programs", "Seen", "computing", "judging", "tallying"]
