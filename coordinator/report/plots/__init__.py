"""The figures of a report: each draws one run or several in the same axes."""
