"""Every key that the system writes, once, with what it holds.

The hash tag of a shard's keys keeps them in one slot of a Redis Cluster, so that one
script may touch them all. Keys of a run on the control server share a tag likewise.

Parameter servers (``stream`` is the index of a training subset):

    ps:{RUN/SHARD}:meta         hash: fence, change, clock, refused, dtype, layout,
                                attempt:<stream>, seq:<stream>, evaluation
    ps:{RUN/SHARD}:params       hash: block id -> packed little-endian numbers
    ps:{RUN/SHARD}:slot:<name>  hash: the same block ids, an optimizer's state
    ps:{RUN/SHARD}:vec:<name>   hash: the same block ids, a named vector (snapshots, gradients,
                                trial points, curvature pairs)
    ps:{RUN/SHARD}:waiting:<vector>  hash: fence, write, and blocks of a large vector that is
                                being written
    ps:{RUN/SHARD}:counted      bitmap: the portions summed in the current evaluation
    ps:{RUN/SERVER}:link:<stream>  hash: bytes by which the way to a server is measured; for an
                                hour, as all keys of a RUN that is called trial-... or self-test-...
    ps:mark:<word>:<index>      string, for a minute: the coordinator's server of that index,
                                by which workers are asked whether theirs is the same

Control server:

    dist:run:{RUN}:record       hash: document, state, fence, attempts; claimer, owner, since,
                                lease, expires (of its coordinator); status, stop, outcome;
                                ended, goes (when the run's keys go), in ms since 1970
    dist:run:{RUN}:unit:<unit>  hash: fence, specification, lease, state, owner, attempt,
                                expires, tries, report
    dist:run:{RUN}:units        set: the names of the units that are there
    dist:run:{RUN}:deposits     hash: unit -> its blob (packed scores of held-out
                                examples), until the evaluation is complete or given up
    dist:run:{RUN}:wakeup       list: the name of each unit that finished or was given back;
                                a hint, not the truth
    dist:run:{RUN}:evaluation:<n>  string: JSON of the evaluation that portions belong to
    dist:run:{RUN}:offers:<fence>  list: portions that no worker has taken yet, each
                                <evaluation>:<portion>:<dispatch>
    dist:run:{RUN}:taken:<fence>.<shift>  list: the portion that a shift is at
    dist:run:{RUN}:portions     list: reports of portions, and of shifts that begin and end; a lost
                                one is asked for again
    dist:run:{RUN}:state        string: JSON of what the driver committed last
    dist:run:{RUN}:events       stream, bounded: what happened, for people and reports
    dist:run:{RUN}:staged:<digest>:<number>  string, for ten minutes if nobody renews it: a piece of
                                data that workers fetch, of which 0 is the manifest
    dist:wanted                 sorted set: RUN/1, RUN/2, ... for each worker process that a run has
                                work for, by when that is forgotten (ms since 1970)
    dist:workers                sorted set: workers that are there, by when they were last seen
                                there, in seconds since 1970 on the server's clock
    dist:worker:<worker>        list, for a minute: questions to a worker
    dist:answers:<word>         list, for a minute: the answers to a question
    dist:celery:*               Celery's own queues, where this server is the broker
    dist:celery:odd-messages    hash: kind -> how many messages that are not ours were removed, and
                                last (when, in seconds since 1970); gone a week after that

On a cluster Celery's keys begin with dist:{celery}: and lie on one node. All keys begin with the
key_prefix of their server, if it has one; so do the channels of Celery.
"""

from __future__ import annotations

import re

CELERY_PREFIX = "dist:celery:"
#: The same in a cluster: the hash tag keeps Celery's keys on one node, as Celery needs.
CLUSTERED_CELERY_PREFIX = "dist:{celery}:"
#: Messages that were no tasks, behind that prefix, too.
ODD_MESSAGES = "odd-messages"
WANTED = "dist:wanted"
WORKERS = "dist:workers"
#: How all of our keys begin, on servers of either kind.
OURS = (b"dist:", b"ps:{")
#: Seconds after which servers remove what was only tried, if who tried it was killed.
TRIAL_S = 3600
PARAMETERS = "params"
COUNTED = "counted"


def slot(name: str) -> str:
    """Name of the vector that holds the optimizer state ``name``."""
    return f"slot:{name}"


def named(name: str) -> str:
    """Name of the vector that somebody called ``name``."""
    return f"vec:{name}"


def waiting(name: str) -> str:
    """Name of the place where pieces of a vector wait for the others."""
    return f"waiting:{name}"


#: The snapshot with the best held-out score.
BEST = named("best")


def shard(run: str, index: int, what: str) -> str:
    """Key of ``what`` (``meta`` or the name of a vector) of one shard."""
    return f"ps:{{{run}/{index}}}:{what}"


def mark(word: str, index: int) -> str:
    """Key by which a worker recognises a parameter server; ``word`` is used once."""
    return f"ps:mark:{word}:{index}"


def questions(worker: str) -> str:
    """Key of the questions to a worker."""
    return f"dist:worker:{worker}"


def answers(word: str) -> str:
    """Key of the answers to a question; ``word`` is used once."""
    return f"dist:answers:{word}"


def control(run: str, what: str) -> str:
    """Key of ``what`` (``record``, ``unit:<unit>``, ``wakeup``, ...) of a run."""
    return f"dist:run:{{{run}}}:{what}"


def patterns(run: str) -> tuple[str, str]:
    """Patterns of all keys of a run: on the control server, and on a parameter server."""
    # A name with wildcards in it means itself.
    literal = re.sub(r"([][*?\\])", r"\\\1", run)
    return control(literal, "*"), f"ps:{{{literal}/*"
