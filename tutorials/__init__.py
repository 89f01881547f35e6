"""Lessons: each a script that asks one question of the engine and answers it by numbers and pictures.

``python tutorials/01_gaussian.py`` runs one; ``python -m tutorials`` runs all and writes one page of them.
"""
