# allocates 100 GB
# %%
x = bytearray(100 * 2**30)
x[::4096] = b'1' * len(x[::4096])
