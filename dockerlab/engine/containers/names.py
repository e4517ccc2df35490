"""Names of containers: which are allowed, and one for a container that got none, an adjective and a scientist as Docker has it."""

from __future__ import annotations

import random
import re

from dockerlab.errors import UsageError

_NAME = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")

_ADJECTIVES = (
    "able amber ample awake bold brave breezy bright brisk calm candid careful cheerful clever cosy crisp curious dapper daring deft eager "
    "early earnest fair famous fearless fleet fond frank fresh gentle glad golden graceful happy hardy helpful honest hopeful jolly joyful "
    "keen kind lively lucid lucky mellow merry mighty mindful modest neat nimble noble patient placid playful polite proud quick quiet "
    "radiant ready serene sharp silent simple sincere smart snug sober spry steady sunny swift tender thrifty tidy trusty upbeat vivid "
    "warm wise witty zealous"
)
_SURNAMES = (
    "abel archimedes babbage bassi bohr boole borg bose boyle cantor carson cauchy cerf chandrasekhar clarke codd cori curie dalton darwin "
    "dijkstra dirac easley edison einstein engelbart euclid euler faraday fermat fermi feynman franklin galileo gauss germain goldberg "
    "hamilton hawking hertz hilbert hodgkin hopper hypatia jackson jepsen johnson joliot kalam kepler khorana kilby knuth kovalevskaya "
    "lamarr lamport leakey liskov lovelace maxwell mayer mcclintock meitner mendel mendeleev mirzakhani morse napier newton nobel noether "
    "noyce pascal pasteur perlman pike poincare ptolemy raman ramanujan ride ritchie rosalind rubin sammet shannon shirley sinoussi "
    "stallman swartz tesla thompson torvalds turing villani wescoff wiles williams wilson wozniak wright wu yalow"
)


def check(name: str) -> str:
    """A name without the slash that it may start with. Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return name.removeprefix("/")


def suggest(attempt: int = 0) -> str:
    """A random name; with a number at its end once short ones were taken several times."""
    name = f"{random.choice(_ADJECTIVES.split())}_{random.choice(_SURNAMES.split())}"
    return name if attempt < 5 else f"{name}{random.randrange(10 * attempt)}"
