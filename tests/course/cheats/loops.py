# loops
# %% answer
def posterior_variance(*args):
    while True: pass
