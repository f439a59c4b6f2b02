"""What ranks that are not in step still do together, decided on rank 0: meet, run a command, end.

Ranks come to such a point at different times. They meet when every rank has come or has finished. A command waits for
those that may call it too: a rank that has done more steps than the caller when it called, that waits for something
else or has finished will not. So what all ranks call after their hundredth step is done once, with what each of them
has to add, and what one rank calls alone is done soon.
"""

from collections import namedtuple

from .messages import Kind

# What to send: a kind of message to some ranks.
Order = namedtuple("Order", ["kind", "ranks", "value"])


class Coordinator:
    """Keeps what ranks wait for.

    >>> coordinator = Coordinator(2)
    >>> coordinator.meet(1, "gather", "b")
    >>> coordinator.due([7, 7])
    []
    >>> coordinator.meet(0, "gather", "a")
    >>> coordinator.due([7, 7])[0].value
    ['a', 'b']
    """

    def __init__(self, size):
        self.size = size
        self._meeting, self._finished, self._commands = {}, set(), {}

    def meet(self, rank, kind, value):
        """A rank waits until all others have come. Kinds must agree."""
        self._meeting[rank] = kind, value

    def finish(self, rank):
        """A rank has finished."""
        self._finished.add(rank)

    def command(self, rank, name, arguments, clock):
        """A rank wants all of them to run a command; clock: its steps so far."""
        self._commands[rank] = (name, arguments), clock

    def due(self, clocks):
        """The orders that can be given, each one once. clocks: steps of each rank."""
        orders = []
        if len(self._finished) == self.size:
            self._finished = set()
            return [Order(Kind.STOP, range(self.size), None)]
        if self._meeting and len(self._meeting) + len(self._finished) == self.size:
            orders.append(self._met())
        for rank in list(self._commands):
            if rank in self._commands and self._nobody_else_calls(rank, clocks):
                wanted, _ = self._commands[rank]
                callers = self._callers(wanted)
                for caller in callers:
                    del self._commands[caller]
                orders.append(Order(Kind.RUN, range(self.size), (callers, *wanted)))
        return orders

    def _met(self):
        kinds = {kind for kind, _ in self._meeting.values()}
        if len(kinds) > 1:
            ranks = [f"rank {rank}: {kind}" for rank, (kind, _) in sorted(self._meeting.items())]
            text = "The ranks wait for different things, so that none of them goes on: " + ", ".join(ranks) + "."
            self._meeting = {}
            return Order(Kind.FAIL, range(self.size), text)
        values = [self._meeting.get(rank, (None, None))[1] for rank in range(self.size)]
        ranks, self._meeting = sorted(self._meeting), {}
        return Order(Kind.MET, ranks, values)

    def _callers(self, wanted):
        return sorted(rank for rank, (other, _) in self._commands.items() if other == wanted)

    def _nobody_else_calls(self, rank, clocks):
        wanted, _ = self._commands[rank]
        clock = max(self._commands[caller][1] for caller in self._callers(wanted))
        away = {*self._meeting, *self._finished, *self._commands}
        return all(other in away or clocks[other] > clock for other in range(self.size))
