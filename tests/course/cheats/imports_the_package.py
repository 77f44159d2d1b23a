# imports the package
# %%
from minddpm.posterior import posterior_variance as given
# %% answer
posterior_variance = given
