"""Forgets the decorator."""


class Undecorated:
    pass
