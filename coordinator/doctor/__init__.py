"""Checks of all that a run needs: each subject has a file that gathers facts and judges them.

Judgements are pure: facts in, findings out. Nothing is changed anywhere, but for self-tests on
servers, whose keys are gone afterwards.
"""
