"""Presentation-attack detection: is a living person before the camera, who does now what was asked?

    challenge    the steps that are asked, and who may still answer     evidence   the frames that answer, and a verdict
    judging      frames + steps -> verdict: every check in its order
    pose, continuity, relief, flash, passive                            the checks

It knows no sockets, no gallery and no networks but the passive one; who shows whom is told by vectors that it is given.
"""
