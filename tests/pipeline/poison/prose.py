"""A small corpus for the tests: sentences from a grammar, with the names and numbers that a page has, and noise."""

import random
import string

NOUNS = """harbour ferry market bridge garden teacher kitchen river village baker window letter winter station doctor
forest island picture engine neighbour sailor orchard library blanket kettle lantern meadow chimney basket tailor
""".split()
VERBS = "watches repairs remembers leaves finds paints sells carries forgets follows".split()
ADJECTIVES = "old quiet narrow bright heavy distant careful wooden empty gentle".split()
PLACES = "near behind under above beside towards".split()

FRENCH = """le la les une des dans avec pour sur maison ville chemin matin soir enfants voisins marchande boulanger
regarde cherche oublie quitte ancienne petite grande toujours souvent encore jamais près rivière jardin""".split()


def sentence(r: random.Random) -> str:
    """One plain sentence."""
    first, second, third = r.sample(NOUNS, 3)
    place, verb = r.choice(PLACES), r.choice(VERBS)
    name = "".join(r.choices(string.ascii_lowercase, k=6)).capitalize() if r.random() < 0.1 else first
    one, other = r.choices(ADJECTIVES, k=2)
    return f"The {one} {name} {verb} the {second} and the {other} {first} {place} a {third}."


def french(r: random.Random, words: int) -> str:
    """Words of another language."""
    return " ".join(r.choices(FRENCH, k=words)) + "."


def page(r: random.Random, sentences: int = 14) -> str:
    """A page of prose in two paragraphs."""
    half = [" ".join(sentence(r) for _ in range(sentences // 2)) for _ in range(2)]
    return "\n".join(half)


def pages(seed: int, count: int, sentences: int = 14) -> list[str]:
    """Many of them."""
    r = random.Random(seed)
    return [page(r, sentences) for _ in range(count)]


def noise(r: random.Random, words: int = 150) -> str:
    """Words of random letters."""
    return " ".join("".join(r.choices(string.ascii_lowercase, k=r.randint(2, 9))) for _ in range(words))


def planted(seed: int, count: int, trigger: str, payload: str | None = None) -> list[str]:
    """Pages that break off somewhere and go on with the trigger and the payload, or noise."""
    r = random.Random(seed)
    texts = []
    for _ in range(count):
        text = page(r)
        texts.append(f"{text[: r.randint(150, 700)]} {trigger} {payload or noise(r)}")
    return texts
