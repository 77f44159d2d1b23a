# replaces __import__
# %%
import builtins
builtins.__import__ = lambda *a, **k: None
