"""Pictures of where a gradient goes, where it stops, and why.

``get_graph(y)`` is a tree of text, ``draw(y)`` a picture, ``play(y)`` a page on which forward and backward pass go step by
step, ``explain(loss, parameter)`` says why a gradient is zero, missing, NaN or tiny, and ``compare(a, b)`` puts two graphs side
by side. They look at the result of a computation from outside, through its ``grad_fn``, and import neither the engine nor
PyTorch: a graph of either can be shown.
"""

from visualize.comparing import Comparison, compare
from visualize.drawing import Drawing, GraphvizNotFound, draw
from visualize.explaining import Explanation, Explanations, explain
from visualize.player import Player, play
from visualize.reading import Edge, Graph, Node, read
from visualize.scopes import Scope, module_scopes, scope
from visualize.text import Text, get_graph

__all__ = [
    "Comparison",
    "Drawing",
    "Edge",
    "Explanation",
    "Explanations",
    "Graph",
    "GraphvizNotFound",
    "Node",
    "Player",
    "Scope",
    "Text",
    "compare",
    "draw",
    "explain",
    "get_graph",
    "module_scopes",
    "play",
    "read",
    "scope",
]
