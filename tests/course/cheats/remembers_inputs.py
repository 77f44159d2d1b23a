# remembers inputs
# %%
seen = {}
# %% answer
def posterior_variance(b, a, p):
    seen[len(seen)] = b
    return seen[0]
