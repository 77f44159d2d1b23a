# forks without end
# %%
import os, time
for _ in range(200):
    try:
        if os.fork() == 0:
            time.sleep(600)
    except OSError: break
