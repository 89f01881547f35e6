"""Lessons: each a script that asks one question of the engine and answers it by numbers and pictures.

``python tutorials/01_backprop_walks_a_graph.py`` runs one; ``python -m tutorials`` runs all and builds a site of them.
"""
