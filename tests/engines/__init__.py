"""Real engines and programs that tests need and the product does not: set up once, pinned, in the cache folder.

``python -m tests.engines NAME…`` sets up those named. Each is a module of this package, or a package of it, with
``set_up(cache_dir, say)``.
"""
