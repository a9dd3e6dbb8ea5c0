"""Facts and edges: each edge is there once, in the order in which it was told, and a walk meets each fact once."""

from hypothesis import given
from hypothesis import strategies as st

from flywheel.explain.graph import Graph, Key, walk

FACTS = [("page", id) for id in "abcde"]

edges = st.lists(st.tuples(st.sampled_from(FACTS), st.sampled_from(FACTS)), max_size=20)


def graph(told: list[tuple[Key, Key]]) -> Graph:
    made = Graph()
    for kind, id in FACTS:
        made.add(kind, id, None, "")
    for before, after in told:
        made.link(before, after)
    return made


@given(edges)
def test_each_edge_is_there_once_both_ways_in_the_order_in_which_it_was_told(told: list[tuple[Key, Key]]) -> None:
    made = graph(told)
    for fact in FACTS:
        assert list(made.led_to[fact]) == list(dict.fromkeys(after for before, after in told if before == fact))
        assert list(made.came_from[fact]) == list(dict.fromkeys(before for before, after in told if after == fact))


@given(edges)
def test_a_walk_meets_all_that_is_reached_once_and_each_one_step_behind_another(told: list[tuple[Key, Key]]) -> None:
    met = walk(FACTS[0], graph(told).led_to)
    reached = {FACTS[0]}
    while further := {after for before, after in told if before in reached} - reached:
        reached |= further
    assert sorted(key for _, key in met) == sorted(reached - {FACTS[0]})
    path = [FACTS[0]]
    for depth, key in met:
        del path[depth:]
        assert (path[-1], key) in told
        path.append(key)


def test_an_edge_to_a_fact_that_is_not_there_is_none() -> None:
    made = graph([])
    made.link(FACTS[0], ("page", "x"))
    made.link_back(("page", "x"), FACTS[0])
    assert walk(FACTS[0], made.led_to) == walk(FACTS[0], made.came_from) == ()


def test_an_edge_backwards_is_not_gone_along_forwards() -> None:
    made = graph([])
    made.link_back(FACTS[0], FACTS[1])
    assert walk(FACTS[0], made.led_to) == ()
    assert walk(FACTS[1], made.came_from) == ((1, FACTS[0]),)
