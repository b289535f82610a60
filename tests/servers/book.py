"""What a proxy is told to do and what it has seen: its rules, its requests, and those it holds back."""

from __future__ import annotations

import asyncio
import random
import re
import time
from dataclasses import asdict
from typing import Any

from tests.servers.faults import Fault, Request, Rule, from_json
from tests.servers.wire import Cut, Piece, RequestHead


class Watch:
    """A rule, and what it has seen."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.taken = 0
        self._seen = 0
        self._path = re.compile(rule.path)
        self._random = random.Random(rule.seed)

    def wants(self, head: RequestHead) -> bool:
        """Tell whether the rule wants this request, which is counted."""
        rule = self.rule
        if rule.method not in {"", head.method} or not self._path.search(head.target):
            return False
        self._seen += 1
        drawn = rule.probability >= 1 or self._random.random() < rule.probability
        return drawn and rule.nth in {0, self._seen} and (not rule.times or self.taken < rule.times)


class Book:
    """Rules and records since the last reset."""

    def __init__(self) -> None:
        self._held: dict[int, asyncio.Future[bool]] = {}
        self.clear()

    def clear(self) -> None:
        """Forget rules, requests and latency; a request that is held is dropped."""
        self.latency_s = 0.0
        self._watches: list[Watch] = []
        self._requests: list[Request] = []
        self._began = time.monotonic()
        self._let_go(forward=False)

    def add(self, *rules: dict[str, Any]) -> None:  # what JSON holds
        self._watches += [Watch(from_json(rule)) for rule in rules]

    def latency(self, milliseconds: float) -> None:
        self.latency_s = milliseconds / 1000

    def count(self) -> int:
        return len(self._requests)

    def requests(self) -> list[dict[str, Any]]:  # what JSON holds
        return [asdict(request) for request in self._requests]

    def held(self) -> list[int]:
        return sorted(self._held)

    def release(self) -> None:
        self._let_go(forward=True)

    def arrived(self, head: RequestHead) -> tuple[Request, Fault | None]:
        """Note a request, and say what befalls it: the fault of the first rule that wants it."""
        request = Request(len(self._requests) + 1, head.method, head.target, time.monotonic() - self._began)
        self._requests.append(request)
        wanting = [watch for watch in self._watches if watch.wants(head)]
        if not wanting:
            return request, None
        wanting[0].taken += 1
        fault = wanting[0].rule.fault
        request.fault = type(fault).__name__
        return request, fault

    def replied(self, request: Request, piece: Piece) -> None:
        """Note what is about to be given to the client, so that no client knows of it before we do."""
        if piece.raw:
            request.reply_bytes += len(piece.raw) if piece.content else 0
            request.took_s = time.monotonic() - self._began - request.began_s

    async def hold(self, request: Request) -> None:
        """Return when the test releases what is held; raise :class:`Cut` if it resets instead."""
        future = self._held[request.number] = asyncio.get_running_loop().create_future()
        if not await future:
            raise Cut

    def _let_go(self, *, forward: bool) -> None:
        held, self._held = self._held, {}
        for future in held.values():
            future.set_result(forward)
