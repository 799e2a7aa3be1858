"""Reading repositories at a commit: `mirror` keeps the objects, `plumbing` looks into them, `reader` tells of them.

What a repository holds is hostile. Its objects are parsed by git in a sandbox that has no network and sees nothing but
them; no working tree is made, and no hook, filter, attribute or configuration of a repository is obeyed.
"""
