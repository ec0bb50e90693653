"""Colours of all figures: Okabe and Ito's, told apart by colour-blind readers (Wong, Nature Methods 8, 441 (2011))."""

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
GRAY = "#555555"


def colors(n: int) -> list[str]:
    """Give n colours of the palette, which repeats after six."""
    return [PALETTE[k % len(PALETTE)] for k in range(n)]
