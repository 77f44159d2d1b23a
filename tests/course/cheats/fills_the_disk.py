# fills the disk
# %%
for n in range(100):
    open(f'/tmp/{n}', 'wb').write(b'x' * 2**24)
