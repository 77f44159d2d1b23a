# replaces modules
# %%
import sys, types
for name in list(sys.modules):
    if 'minddpm' in name or name in ('outcome', 'wire'):
        sys.modules[name] = types.ModuleType(name)
