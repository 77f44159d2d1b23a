# recurses
# %% answer
def posterior_variance(*args):
    return posterior_variance(*args)
