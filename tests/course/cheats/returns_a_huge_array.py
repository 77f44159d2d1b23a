# returns a huge array
# %% answer
def posterior_variance(*args):
    import numpy
    return numpy.zeros(2**28)
