# deletes everything
# %% after
import sys, gc
for name in list(globals()):
    if not name.startswith('__'): del globals()[name]
