# loops in a cell
# %% after
while True: pass
