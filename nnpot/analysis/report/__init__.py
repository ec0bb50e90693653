"""A page about a training or an evaluation: one file of HTML that needs nothing else.

`facts` gathers the numbers, `verdict` puts them in words, `charts` and `atoms` draw, `page` puts all together.
"""
