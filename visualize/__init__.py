"""Pictures of where a gradient goes, where it stops, and why.

``get_graph(y)`` is a tree of text, ``draw(y)`` is a picture, and ``read(y)`` is what both are made from. They look at
the result of a computation from outside, through its ``grad_fn``, and import neither the engine nor PyTorch: a graph
of either can be shown.
"""

from visualize.drawing import Drawing, GraphvizNotFound, draw
from visualize.reading import Edge, Graph, Node, read
from visualize.text import Text, get_graph

__all__ = ["Drawing", "Edge", "Graph", "GraphvizNotFound", "Node", "Text", "draw", "get_graph", "read"]
