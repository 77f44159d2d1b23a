# starts a program
# %%
import subprocess
subprocess.run(['touch', VICTIM])
