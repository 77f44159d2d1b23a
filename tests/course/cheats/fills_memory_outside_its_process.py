# fills memory outside its process
# %%
import os
files = [os.memfd_create(str(n)) for n in range(2000)]
for file in files: os.write(file, b'x' * 2**25)
# %% after
for n in range(1000): open(f'/dev/shm/{n}', 'wb').write(b'x' * 2**25)
