"""Names of processes, by which stored evidence is found again."""

from __future__ import annotations

from control.stats.affine import Harm, Safe
from control.stats.events import FAILURE, Event, Source
from control.stats.looseness import margins
from control.stats.mixture import ODDS
from control.stats.one_sample import Above, Below
from control.stats.process import HarmProcess, SafeProcess


def test_different_questions_have_different_names() -> None:
    """Event, bet and each of its parameters."""
    slow = Event(source=Source.TOTAL, quantile=0.9, shift=5)
    names = [
        HarmProcess(event=FAILURE, bet=ODDS).key,
        HarmProcess(event=slow, bet=ODDS).key,
        HarmProcess(event=FAILURE, bet=Harm(1.5, 0.0)).key,
        HarmProcess(event=FAILURE, bet=Harm(1.5, 0.01)).key,
        HarmProcess(event=FAILURE, bet=Above(0.02)).key,
        HarmProcess(event=FAILURE, bet=Above(0.03)).key,
        SafeProcess(event=FAILURE, bet=Below([0.02])).key,
        SafeProcess(event=FAILURE, bet=Safe(margins(1.2, 0.005))).key,
        SafeProcess(event=FAILURE, bet=Safe(margins(1.2, 0.006))).key,
    ]

    assert len(set(names)) == len(names)


def test_the_same_question_is_kept_once() -> None:
    """Two guardrails that ask it share its evidence."""
    assert HarmProcess(event=FAILURE, bet=ODDS).key == HarmProcess(event=FAILURE, bet=ODDS).key
    assert HarmProcess(event=FAILURE, bet=ODDS).harm
    assert not SafeProcess(event=FAILURE, bet=Below([0.02])).harm
